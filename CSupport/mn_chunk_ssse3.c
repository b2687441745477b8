// SSSE3: 16 places in a register, four registers a step. For x86 processors without AVX2.
#if defined(__x86_64__)
#include <immintrin.h>

#include "mn_chunk_definition.h"

#define KERNEL_NAME mn_scan_ssse3
#define KERNEL_TARGET __attribute__((target("ssse3")))
#define INLINE static inline __attribute__((always_inline)) KERNEL_TARGET

typedef struct {
  __m128i tables[MN_LEVELS];
  /// The previous 16 places' filters over 4, 8, 16 and 32 bytes; over 32 bytes also those of the 16
  /// before.
  __m128i over4, over8, over16, over32, older32;
} kernel_state;

INLINE kernel_state kernel_start(void) {
  kernel_state state = {.over4 = _mm_setzero_si128()};
  state.over8 = state.over16 = state.over32 = state.older32 = state.over4;
  for (int level = 0; level < MN_LEVELS; level++) {
    state.tables[level] = _mm_loadu_si128((const __m128i *)mn_tables[level]);
  }
  return state;
}

INLINE __m128i bytes(const uint8_t *at) { return _mm_loadu_si128((const __m128i *)at); }

INLINE __m128i doubled(__m128i later, __m128i earlier, __m128i table) {
  // pshufb itself gives 0 where the index is above 127.
  return _mm_xor_si128(_mm_xor_si128(later, earlier), _mm_shuffle_epi8(table, earlier));
}

INLINE uint64_t quarter_step(kernel_state *state, const uint8_t *at) {
  __m128i over2 = doubled(bytes(at), bytes(at - 1), state->tables[0]);
  __m128i earlier2 = doubled(bytes(at - 2), bytes(at - 3), state->tables[0]);
  __m128i over4 = doubled(over2, earlier2, state->tables[1]);
  __m128i over8 = doubled(over4, _mm_alignr_epi8(over4, state->over4, 12), state->tables[2]);
  __m128i over16 = doubled(over8, _mm_alignr_epi8(over8, state->over8, 8), state->tables[3]);
  __m128i over32 = doubled(over16, state->over16, state->tables[4]);
  __m128i over64 = doubled(over32, state->older32, state->tables[5]);
  state->over4 = over4;
  state->over8 = over8;
  state->over16 = over16;
  state->older32 = state->over32;
  state->over32 = over32;
  __m128i wanted = _mm_set1_epi8((char)MN_FILTER_BYTE);
  return (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(over64, wanted));
}

INLINE uint64_t kernel_step(kernel_state *state, const uint8_t *at) {
  uint64_t mask = quarter_step(state, at);
  mask |= quarter_step(state, at + 16) << 16;
  mask |= quarter_step(state, at + 32) << 32;
  return mask | quarter_step(state, at + 48) << 48;
}

#include "mn_chunk_scan.h"
#else
typedef int mn_no_ssse3;
#endif
