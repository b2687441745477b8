// Fingerprints and checksums: the choice of a kernel.
#include "mn_hash_kernels.h"

mn_fingerprint mn_fingerprint_of(const uint8_t *secret, const uint8_t *data, size_t length) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return mn_fingerprint_avx512(secret, data, length);
  if (__builtin_cpu_supports("avx2")) return mn_fingerprint_avx2(secret, data, length);
#endif
  return mn_fingerprint_baseline(secret, data, length);
}

uint64_t mn_checksum(const uint8_t *data, size_t length) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return mn_checksum_avx512(data, length);
  if (__builtin_cpu_supports("avx2")) return mn_checksum_avx2(data, length);
#endif
  return mn_checksum_baseline(data, length);
}
