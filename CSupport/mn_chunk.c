// Content-defined chunking: sizes, thresholds and the choice of a kernel.
#include "mn_chunk_definition.h"

#define MAXIMUM_LIMIT (16u << 20)

const uint8_t mn_tables[MN_LEVELS][16] = {
  {0x50, 0xFC, 0x4A, 0x44, 0xC5, 0x4C, 0x24, 0x24, 0xE6, 0x65, 0xAE, 0x3E, 0xF6, 0x02, 0x18, 0x54},
  {0xF4, 0x7B, 0xCB, 0x8E, 0xEF, 0x47, 0xEE, 0x42, 0xCE, 0x26, 0x06, 0xDB, 0xCD, 0x93, 0x69, 0x4C},
  {0x7D, 0x10, 0x19, 0x15, 0x03, 0xC0, 0x5C, 0x87, 0xC6, 0x61, 0x85, 0x92, 0x38, 0x1F, 0x12, 0xCC},
  {0xBD, 0x01, 0xA1, 0xAC, 0xAF, 0xA9, 0xE0, 0xEE, 0xC0, 0xDC, 0xF0, 0x89, 0xCD, 0xBA, 0x4A, 0xD1},
  {0x41, 0x55, 0x92, 0xC4, 0x8B, 0xE6, 0x00, 0xBD, 0xF3, 0xD7, 0xF2, 0xE7, 0x19, 0x94, 0x43, 0x1D},
  {0xAD, 0xEA, 0xDE, 0xFD, 0xE5, 0x65, 0xCF, 0xC2, 0xDE, 0x56, 0xDD, 0xA1, 0xCE, 0xD5, 0xAA, 0xFC},
};

bool mn_chunk_sizes_valid(mn_chunk_sizes sizes) {
  return sizes.minimum >= MN_WINDOW && sizes.minimum < sizes.average
         && sizes.average < sizes.maximum && sizes.maximum <= MAXIMUM_LIMIT;
}

/// The threshold that one place in `distance` of random data passes, all candidates where that is
/// too many.
static uint64_t threshold(uint64_t distance) {
  return distance > MN_FILTER_PERIOD ? UINT64_MAX / distance * MN_FILTER_PERIOD : UINT64_MAX;
}

/// With D = average - minimum, a cut is found once in 3 D places before the normal point and once
/// in D / 3 behind it. The normal point is 221/256 D behind the minimum, since then the mean size
/// on random data is `average`: 3 (1 - s) + s / 3 = 1 for s = 3/4 = exp(-221/256 / 3), whatever the
/// minimum is.
static mn_search search_of(mn_chunk_sizes sizes, size_t end) {
  uint64_t spread = sizes.average - sizes.minimum;
  return (mn_search){
    .normal = sizes.minimum + (size_t)(spread * 221 / 256),
    .before = threshold(spread * 3),
    .behind = threshold(spread / 3),
    .best = UINT64_MAX,
    .fallback = end,
  };
}

bool mn_kernel_usable(mn_kernel kernel) {
  switch (kernel) {
    case MN_KERNEL_PORTABLE: return true;
#if defined(__x86_64__)
    case MN_KERNEL_SSSE3: return __builtin_cpu_supports("ssse3");
    case MN_KERNEL_AVX2: return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi");
    case MN_KERNEL_AVX512:
      return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("bmi");
#endif
#if defined(__aarch64__)
    case MN_KERNEL_NEON: return true;
#endif
    default: return false;
  }
}

mn_kernel mn_kernel_best(void) {
  for (int kernel = MN_KERNEL_COUNT - 1; kernel > MN_KERNEL_PORTABLE; kernel--) {
    if (mn_kernel_usable((mn_kernel)kernel)) return (mn_kernel)kernel;
  }
  return MN_KERNEL_PORTABLE;
}

const char *mn_kernel_name(mn_kernel kernel) {
  switch (kernel) {
    case MN_KERNEL_PORTABLE: return "portable";
    case MN_KERNEL_NEON: return "neon";
    case MN_KERNEL_SSSE3: return "ssse3";
    case MN_KERNEL_AVX2: return "avx2";
    case MN_KERNEL_AVX512: return "avx512";
    default: return "unknown";
  }
}

static mn_scan *scan_of(mn_kernel kernel) {
  switch (kernel) {
#if defined(__x86_64__)
    case MN_KERNEL_SSSE3: return mn_scan_ssse3;
    case MN_KERNEL_AVX2: return mn_scan_avx2;
    case MN_KERNEL_AVX512: return mn_scan_avx512;
#endif
#if defined(__aarch64__)
    case MN_KERNEL_NEON: return mn_scan_neon;
#endif
    default: return mn_scan_portable;
  }
}

size_t mn_chunk_next_using(mn_kernel kernel, mn_chunk_sizes sizes, const uint8_t *data,
                           size_t length, mn_chunk_end *end) {
  mn_chunk_end unused;
  if (end == NULL) end = &unused;
  *end = MN_END_DATA;
  if (length <= sizes.minimum) return length;
  size_t limit = length < sizes.maximum ? length : sizes.maximum;
  mn_search search = search_of(sizes, limit);
  size_t cut = scan_of(kernel)(&search, data, sizes.minimum, limit);
  if (cut != 0) {
    *end = MN_END_CUT;
    return cut;
  }
  if (length < sizes.maximum) return length;
  *end = search.fallback < limit ? MN_END_CANDIDATE : MN_END_MAXIMUM;
  return search.fallback;
}

size_t mn_chunk_next(mn_chunk_sizes sizes, const uint8_t *data, size_t length) {
  return mn_chunk_next_using(mn_kernel_best(), sizes, data, length, NULL);
}
