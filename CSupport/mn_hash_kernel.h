// XXH3 for one instruction set: the including file defines XXH_VECTOR, KERNEL_FINGERPRINT and
// KERNEL_CHECKSUM, and brackets the inclusion with its target attribute. xxHash is compiled in, so
// that no library is needed at run time.
#include "mn_hash_kernels.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

_Static_assert(MN_SECRET_SIZE >= XXH3_SECRET_SIZE_MIN, "XXH3 needs a longer secret");

mn_fingerprint KERNEL_FINGERPRINT(const uint8_t *secret, const uint8_t *data, size_t length) {
  XXH128_hash_t hash = XXH3_128bits_withSecret(data, length, secret, MN_SECRET_SIZE);
  return (mn_fingerprint){.low = hash.low64, .high = hash.high64};
}

uint64_t KERNEL_CHECKSUM(const uint8_t *data, size_t length) { return XXH3_64bits(data, length); }
