// NEON (AArch64): 16 places in a register, four registers a step.
#if defined(__aarch64__)
#include <arm_neon.h>

#include "mn_chunk_definition.h"

#define KERNEL_NAME mn_scan_neon
#define KERNEL_TARGET
#define INLINE static inline __attribute__((always_inline))

typedef struct {
  uint8x16_t tables[MN_LEVELS];
  /// The previous 16 places' filters over 4, 8, 16 and 32 bytes; over 32 bytes also those of the 16
  /// before.
  uint8x16_t over4, over8, over16, over32, older32;
} kernel_state;

INLINE kernel_state kernel_start(void) {
  kernel_state state;
  state.over4 = state.over8 = state.over16 = state.over32 = state.older32 = vdupq_n_u8(0);
  for (int level = 0; level < MN_LEVELS; level++) state.tables[level] = vld1q_u8(mn_tables[level]);
  return state;
}

INLINE uint8x16_t doubled(uint8x16_t later, uint8x16_t earlier, uint8x16_t table) {
  // tbl gives 0 where the index is above 15: bit 7 stays in the index, bits 4 to 6 must not.
  uint8x16_t looked_up = vqtbl1q_u8(table, vandq_u8(earlier, vdupq_n_u8(0x8F)));
  return veorq_u8(veorq_u8(later, earlier), looked_up);
}

INLINE uint8x16_t quarter_step(kernel_state *state, const uint8_t *at) {
  uint8x16_t over2 = doubled(vld1q_u8(at), vld1q_u8(at - 1), state->tables[0]);
  uint8x16_t earlier2 = doubled(vld1q_u8(at - 2), vld1q_u8(at - 3), state->tables[0]);
  uint8x16_t over4 = doubled(over2, earlier2, state->tables[1]);
  uint8x16_t over8 = doubled(over4, vextq_u8(state->over4, over4, 12), state->tables[2]);
  uint8x16_t over16 = doubled(over8, vextq_u8(state->over8, over8, 8), state->tables[3]);
  uint8x16_t over32 = doubled(over16, state->over16, state->tables[4]);
  uint8x16_t over64 = doubled(over32, state->older32, state->tables[5]);
  state->over4 = over4;
  state->over8 = over8;
  state->over16 = over16;
  state->older32 = state->over32;
  state->over32 = over32;
  return vceqq_u8(over64, vdupq_n_u8(MN_FILTER_BYTE));
}

INLINE uint64_t kernel_step(kernel_state *state, const uint8_t *at) {
  static const uint8_t weights[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  uint8x16_t bits = vld1q_u8(weights);
  uint8x16_t first = vandq_u8(quarter_step(state, at), bits);
  uint8x16_t second = vandq_u8(quarter_step(state, at + 16), bits);
  uint8x16_t third = vandq_u8(quarter_step(state, at + 32), bits);
  uint8x16_t fourth = vandq_u8(quarter_step(state, at + 48), bits);
  // Three pairwise sums bring each eight places' bits into one byte, in order.
  uint8x16_t sum = vpaddq_u8(vpaddq_u8(first, second), vpaddq_u8(third, fourth));
  return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(sum, sum)), 0);
}

#include "mn_chunk_scan.h"
#else
typedef int mn_no_neon;
#endif
