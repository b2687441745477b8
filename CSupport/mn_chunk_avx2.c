// AVX2: 32 places in a register, two registers a step.
#if defined(__x86_64__)
#include <immintrin.h>

#include "mn_chunk_definition.h"

#define KERNEL_NAME mn_scan_avx2
#define KERNEL_TARGET __attribute__((target("avx2,bmi")))
#define INLINE static inline __attribute__((always_inline)) KERNEL_TARGET

typedef struct {
  __m256i tables[MN_LEVELS];
  /// The previous 32 places' filters over 4, 8, 16 and 32 bytes.
  __m256i over4, over8, over16, over32;
} kernel_state;

INLINE kernel_state kernel_start(void) {
  kernel_state state = {.over4 = _mm256_setzero_si256()};
  state.over8 = state.over16 = state.over32 = state.over4;
  for (int level = 0; level < MN_LEVELS; level++) {
    __m128i table = _mm_loadu_si128((const __m128i *)mn_tables[level]);
    state.tables[level] = _mm256_broadcastsi128_si256(table);
  }
  return state;
}

INLINE __m256i bytes(const uint8_t *at) { return _mm256_loadu_si256((const __m256i *)at); }

INLINE __m256i doubled(__m256i later, __m256i earlier, __m256i table) {
  // pshufb itself gives 0 where the index is above 127.
  return _mm256_xor_si256(_mm256_xor_si256(later, earlier), _mm256_shuffle_epi8(table, earlier));
}

/// The upper half of `previous`, then the lower half of `current`: the 16 places before each of
/// `current`'s.
INLINE __m256i back16(__m256i current, __m256i previous) {
  return _mm256_permute2x128_si256(previous, current, 0x21);
}

INLINE uint32_t half_step(kernel_state *state, const uint8_t *at) {
  __m256i over2 = doubled(bytes(at), bytes(at - 1), state->tables[0]);
  __m256i earlier2 = doubled(bytes(at - 2), bytes(at - 3), state->tables[0]);
  __m256i over4 = doubled(over2, earlier2, state->tables[1]);
  __m256i back4 = _mm256_alignr_epi8(over4, back16(over4, state->over4), 12);
  __m256i over8 = doubled(over4, back4, state->tables[2]);
  __m256i back8 = _mm256_alignr_epi8(over8, back16(over8, state->over8), 8);
  __m256i over16 = doubled(over8, back8, state->tables[3]);
  __m256i over32 = doubled(over16, back16(over16, state->over16), state->tables[4]);
  __m256i over64 = doubled(over32, state->over32, state->tables[5]);
  state->over4 = over4;
  state->over8 = over8;
  state->over16 = over16;
  state->over32 = over32;
  __m256i wanted = _mm256_set1_epi8((char)MN_FILTER_BYTE);
  return (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(over64, wanted));
}

INLINE uint64_t kernel_step(kernel_state *state, const uint8_t *at) {
  uint64_t low = half_step(state, at);
  return low | (uint64_t)half_step(state, at + 32) << 32;
}

#include "mn_chunk_scan.h"
#else
typedef int mn_no_avx2;
#endif
