// Content-defined chunking: the portable kernel.
#include "mn_chunk_definition.h"

#define MAXIMUM_LIMIT (16u << 20)
/// Places whose filter is computed at once.
#define STRIDE 256

bool mn_chunk_sizes_valid(mn_chunk_sizes sizes) {
  return sizes.minimum >= MN_WINDOW && sizes.minimum < sizes.average && sizes.average < sizes.maximum
         && sizes.maximum <= MAXIMUM_LIMIT;
}

/// Filter sums of the `count` places from data + 64 on: sums[k] is that of data + 64 + k.
static void filter_sums(const uint8_t *data, uint16_t sums[STRIDE + 64], size_t count) {
  for (size_t k = 0; k < count + 60; k++) {
    sums[k] = (uint16_t)(MN_NEAR_0 * data[k + 3] + MN_NEAR_1 * data[k + 2] + MN_NEAR_2 * data[k + 1]
                         + MN_NEAR_3 * data[k]);
  }
  for (size_t k = 0; k < count + 56; k++) sums[k] = (uint16_t)(sums[k + 4] + MN_FACTOR_4 * sums[k]);
  for (size_t k = 0; k < count + 48; k++) sums[k] = (uint16_t)(sums[k + 8] + MN_FACTOR_8 * sums[k]);
  for (size_t k = 0; k < count + 32; k++) sums[k] = (uint16_t)(sums[k + 16] + MN_FACTOR_16 * sums[k]);
  for (size_t k = 0; k < count; k++) sums[k] = (uint16_t)(sums[k + 32] + MN_FACTOR_32 * sums[k]);
}

size_t mn_chunk_next(mn_chunk_sizes sizes, const uint8_t *data, size_t length) {
  if (length <= sizes.minimum) return length;
  size_t end = length < sizes.maximum ? length : sizes.maximum;
  uint64_t spread = sizes.average - sizes.minimum;
  size_t normal = sizes.minimum + (size_t)(spread * 57 / 64);
  // A quarter of the mean rate before the normal point, four times it behind: the mean stays the average.
  uint64_t rate = UINT64_MAX / spread;
  uint64_t candidates = (uint64_t)1 << MN_FILTER_BITS;
  uint64_t before = rate / 4 > UINT64_MAX / candidates ? UINT64_MAX : rate / 4 * candidates;
  uint64_t behind = rate > UINT64_MAX / candidates / 4 ? UINT64_MAX : rate * 4 * candidates;

  uint16_t sums[STRIDE + 64];
  uint64_t best = UINT64_MAX;
  size_t fallback = end;
  for (size_t place = sizes.minimum; place < end; place += STRIDE) {
    size_t count = end - place < STRIDE ? end - place : STRIDE;
    filter_sums(data + place - MN_WINDOW, sums, count);
    for (size_t k = 0; k < count; k++) {
      if (sums[k] >> 8 != MN_FILTER_BYTE) continue;
      uint64_t rank = mn_rank(data + place + k);
      if (rank < (place + k < normal ? before : behind)) return place + k;
      if (rank <= best) {
        best = rank;
        fallback = place + k;
      }
    }
  }
  return length < sizes.maximum ? length : fallback;
}
