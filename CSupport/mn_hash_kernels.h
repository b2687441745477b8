// XXH3 by instruction set. All kernels return the same; xxHash's own tests hold that.
#ifndef MN_HASH_KERNELS_H
#define MN_HASH_KERNELS_H

#include "CMuninn.h"

typedef mn_fingerprint mn_fingerprint_kernel(const uint8_t *secret, const uint8_t *data,
                                             size_t length);
typedef uint64_t mn_checksum_kernel(const uint8_t *data, size_t length);

mn_fingerprint_kernel mn_fingerprint_baseline;
mn_checksum_kernel mn_checksum_baseline;
#if defined(__x86_64__)
mn_fingerprint_kernel mn_fingerprint_avx2, mn_fingerprint_avx512;
mn_checksum_kernel mn_checksum_avx2, mn_checksum_avx512;
#endif

#endif
