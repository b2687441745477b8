// Where chunks are cut: the constants and the two hashes, shared by every kernel. Part of the
// repository's format.
//
// Both hashes of a place are functions of the MN_WINDOW bytes before it, and of nothing else.
//
// 1. The filter, one byte. F over 1 byte is that byte; F over 2n bytes is
//      F(the later n bytes) ^ x ^ (x < 128 ? mn_tables[log2 n][x mod 16] : 0)
//    with x = F(the earlier n bytes).
//    A place is a candidate where F over its window is MN_FILTER_BYTE. Six doublings give all 64
//    bytes, and a doubling is one table look-up in a register (pshufb, or tbl with the index
//    masked) for as many places as a register has.
// 2. The rank: a 64-bit multiply-and-fold hash of a candidate's window. The place is a cut where
//    the rank is below a threshold, which is lower before the chunk's normal point than behind it.
//
// The tables were drawn by SplitMix64 from many seeds; the one kept comes closest to a strong hash
// on text, code, database pages, records and counters. No run of one byte value is a candidate, so
// zeros make chunks of maximum size.
#ifndef MN_CHUNK_DEFINITION_H
#define MN_CHUNK_DEFINITION_H

#include "CMuninn.h"

#include <string.h>

/// Doublings of the filter: 2^6 bytes are the window.
#define MN_LEVELS 6
#define MN_FILTER_BYTE 0xF2
/// Candidates are one place in this many of random data.
#define MN_FILTER_PERIOD 256
/// Places whose candidates are gathered before they are ranked.
#define MN_STRETCH 2048

extern const uint8_t mn_tables[MN_LEVELS][16];

/// What is looked for in one chunk, and what was found.
typedef struct {
  /// From this place on, the easier threshold holds.
  size_t normal;
  uint64_t before;
  uint64_t behind;
  /// The lowest rank so far and its last place: where to cut if nothing passes a threshold.
  uint64_t best;
  size_t fallback;
} mn_search;

/// Looks for the first cut among the places from..<end of a chunk that begins at data[0], from >=
/// MN_WINDOW; 0 where there is none. Reads nothing outside of data[0..<end].
typedef size_t mn_scan(mn_search *search, const uint8_t *data, size_t from, size_t end);

mn_scan mn_scan_portable;
#if defined(__x86_64__)
mn_scan mn_scan_ssse3;
mn_scan mn_scan_avx2;
mn_scan mn_scan_avx512;
#endif
#if defined(__aarch64__)
mn_scan mn_scan_neon;
#endif

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
  const uint8_t *at = end - MN_WINDOW;
  uint64_t a = mn_word(at) ^ 0xA0761D6478BD642Full;
  uint64_t b = mn_word(at + 8) ^ 0xE7037ED1A0B428DBull;
  uint64_t c = mn_word(at + 16) ^ 0x8EBC6AF09C88C6E3ull;
  uint64_t d = mn_word(at + 24) ^ 0x589965CC75374CC3ull;
  uint64_t e = mn_word(at + 32) ^ 0x1D8E4E27C47D124Full;
  uint64_t f = mn_word(at + 40) ^ 0xEB44ACCAB455D165ull;
  uint64_t g = mn_word(at + 48) ^ 0x9E3779B97F4A7C15ull;
  uint64_t h = mn_word(at + 56) ^ 0xC2B2AE3D27D4EB4Full;
  uint64_t sum = mn_fold(a, b) + mn_fold(c, d) + mn_fold(e, f) + mn_fold(g, h);
  return mn_fold(sum ^ 0xD6E8FEB86659FD93ull, 0xFF51AFD7ED558CCDull);
}

/// Ranks candidates, ascending offsets from `base`. The first place that is a cut, or 0.
static inline size_t mn_decide(mn_search *search, const uint8_t *data, size_t base,
                               const uint32_t *offsets, size_t count) {
  uint64_t best = search->best;
  size_t fallback = search->fallback;
  for (size_t k = 0; k < count; k++) {
    size_t place = base + offsets[k];
    uint64_t rank = mn_rank(data + place);
    if (rank < (place < search->normal ? search->before : search->behind)) return place;
    fallback = rank <= best ? place : fallback;
    best = rank <= best ? rank : best;
  }
  search->best = best;
  search->fallback = fallback;
  return 0;
}

#endif
