// Where chunks are cut: the constants and the two hashes, shared by every kernel. Part of the repository's format.
//
// Both hashes of a place are functions of the MN_WINDOW bytes before it, and of nothing else.
//
// 1. The filter: F = sum of weight[j] * byte[-1 - j] for j in 0..<64, modulo 2^16, where weight[j] is
//    near[j mod 4] times the odd factors 4, 8, 16 and 32 whose bit is set in j. A place is a candidate where the
//    high byte of F is MN_FILTER_BYTE. The sum has a power-of-two window and no table, so that it can be computed
//    for many places at once by doubling: sums over 4 bytes give sums over 8, 16, 32 and 64.
// 2. The rank: a 64-bit multiply-and-fold hash of a candidate's window. The place is a cut where the rank is below
//    a threshold, which is lower before the normal point of the chunk than behind it.
#ifndef MN_CHUNK_DEFINITION_H
#define MN_CHUNK_DEFINITION_H

#include "CMuninn.h"

#include <string.h>

// The near weights are 7-bit, and a pair's absolute values sum to at most 128: 16-bit pair sums never saturate.
#define MN_NEAR_0 87
#define MN_NEAR_1 -41
#define MN_NEAR_2 -53
#define MN_NEAR_3 67
#define MN_FACTOR_4 0x9E37u
#define MN_FACTOR_8 0x79B9u
#define MN_FACTOR_16 0x7F4Bu
#define MN_FACTOR_32 0x4B2Du
#define MN_FILTER_BYTE 0x5Au
/// Candidates are one place in 2^MN_FILTER_BITS of random data.
#define MN_FILTER_BITS 8

static inline uint64_t mn_word(const uint8_t *bytes) {
  uint64_t word;
  memcpy(&word, bytes, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  word = __builtin_bswap64(word);
#endif
  return word;
}

static inline uint64_t mn_fold(uint64_t a, uint64_t b) {
  unsigned __int128 product = (unsigned __int128)a * b;
  return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/// The rank of the place `end`: a hash of the MN_WINDOW bytes before it.
static inline uint64_t mn_rank(const uint8_t *end) {
  const uint8_t *window = end - MN_WINDOW;
  uint64_t sum = mn_fold(mn_word(window) ^ 0xA0761D6478BD642Full, mn_word(window + 8) ^ 0xE7037ED1A0B428DBull);
  sum += mn_fold(mn_word(window + 16) ^ 0x8EBC6AF09C88C6E3ull, mn_word(window + 24) ^ 0x589965CC75374CC3ull);
  sum += mn_fold(mn_word(window + 32) ^ 0x1D8E4E27C47D124Full, mn_word(window + 40) ^ 0xEB44ACCAB455D165ull);
  sum += mn_fold(mn_word(window + 48) ^ 0x9E3779B97F4A7C15ull, mn_word(window + 56) ^ 0xC2B2AE3D27D4EB4Full);
  return mn_fold(sum ^ 0xD6E8FEB86659FD93ull, 0xFF51AFD7ED558CCDull);
}

#endif
