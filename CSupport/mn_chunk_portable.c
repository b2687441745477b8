// The reference kernel: the filter's definition written out, one doubling after the other over a
// stretch of places.
#include "mn_chunk_definition.h"

/// The earlier half's part in a doubling.
static inline uint8_t passed_on(int level, uint8_t x) {
  uint8_t low = (uint8_t)((x >> 7) - 1);  // all ones where x < 128
  return (uint8_t)(x ^ (mn_tables[level][x & 15] & low));
}

size_t mn_scan_portable(mn_search *search, const uint8_t *data, size_t from, size_t end) {
  uint8_t sums[MN_STRETCH + MN_WINDOW - 1];
  uint32_t candidates[MN_STRETCH];
  for (size_t place = from; place < end; place += MN_STRETCH) {
    size_t count = end - place < MN_STRETCH ? end - place : MN_STRETCH;
    size_t left = count + MN_WINDOW - 1;
    memcpy(sums, data + place - MN_WINDOW, left);
    for (int level = 0; level < MN_LEVELS; level++) {
      size_t half = (size_t)1 << level;
      left -= half;
      for (size_t k = 0; k < left; k++) sums[k] = sums[k + half] ^ passed_on(level, sums[k]);
    }
    size_t found = 0;
    for (size_t k = 0; k < count; k++) {
      candidates[found] = (uint32_t)k;
      found += sums[k] == MN_FILTER_BYTE;
    }
    size_t cut = mn_decide(search, data, place, candidates, found);
    if (cut != 0) return cut;
  }
  return 0;
}
