// AVX-512 (F and BW: neither VBMI nor GFNI is needed): 64 places in one register.
#if defined(__x86_64__)
#include <immintrin.h>

#include "mn_chunk_definition.h"

#define KERNEL_NAME mn_scan_avx512
#define KERNEL_TARGET __attribute__((target("avx512f,avx512bw,bmi")))
#define INLINE static inline __attribute__((always_inline)) KERNEL_TARGET

typedef struct {
  __m512i tables[MN_LEVELS];
  /// The previous 64 places' filters over 4, 8, 16 and 32 bytes.
  __m512i over4, over8, over16, over32;
} kernel_state;

INLINE kernel_state kernel_start(void) {
  kernel_state state = {.over4 = _mm512_setzero_si512()};
  state.over8 = state.over16 = state.over32 = state.over4;
  for (int level = 0; level < MN_LEVELS; level++) {
    __m128i table = _mm_loadu_si128((const __m128i *)mn_tables[level]);
    state.tables[level] = _mm512_broadcast_i32x4(table);
  }
  return state;
}

INLINE __m512i bytes(const uint8_t *at) { return _mm512_loadu_si512(at); }

INLINE __m512i doubled(__m512i later, __m512i earlier, __m512i table) {
  // pshufb itself gives 0 where the index is above 127; 0x96 is the exclusive or of three.
  return _mm512_ternarylogic_epi32(later, earlier, _mm512_shuffle_epi8(table, earlier), 0x96);
}

INLINE uint64_t kernel_step(kernel_state *state, const uint8_t *at) {
  __m512i over2 = doubled(bytes(at), bytes(at - 1), state->tables[0]);
  __m512i earlier2 = doubled(bytes(at - 2), bytes(at - 3), state->tables[0]);
  __m512i over4 = doubled(over2, earlier2, state->tables[1]);
  __m512i over8 = doubled(over4, _mm512_alignr_epi32(over4, state->over4, 15), state->tables[2]);
  __m512i over16 = doubled(over8, _mm512_alignr_epi64(over8, state->over8, 7), state->tables[3]);
  __m512i over32 = doubled(over16, _mm512_alignr_epi64(over16, state->over16, 6), state->tables[4]);
  __m512i over64 = doubled(over32, _mm512_alignr_epi64(over32, state->over32, 4), state->tables[5]);
  state->over4 = over4;
  state->over8 = over8;
  state->over16 = over16;
  state->over32 = over32;
  return _mm512_cmpeq_epi8_mask(over64, _mm512_set1_epi8((char)MN_FILTER_BYTE));
}

#include "mn_chunk_scan.h"
#else
typedef int mn_no_avx512;
#endif
