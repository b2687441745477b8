// XXH3 on AVX-512.
#if defined(__x86_64__)
#include <immintrin.h>

#define XXH_VECTOR XXH_AVX512
#define KERNEL_FINGERPRINT mn_fingerprint_avx512
#define KERNEL_CHECKSUM mn_checksum_avx512
#pragma clang attribute push(__attribute__((target("avx512f"))), apply_to = function)
#include "mn_hash_kernel.h"
#pragma clang attribute pop
#else
typedef int mn_no_hash_avx512;
#endif
