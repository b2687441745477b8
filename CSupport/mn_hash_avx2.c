// XXH3 on AVX2.
#if defined(__x86_64__)
#include <immintrin.h>

#define XXH_VECTOR XXH_AVX2
#define KERNEL_FINGERPRINT mn_fingerprint_avx2
#define KERNEL_CHECKSUM mn_checksum_avx2
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#include "mn_hash_kernel.h"
#pragma clang attribute pop
#else
typedef int mn_no_hash_avx2;
#endif
