// LZ4 blocks: a thin, checked face on liblz4, whose own sizes are `int`.
#include "CMuninn.h"

#include <limits.h>
#include <lz4.h>
#include <lz4hc.h>

/// The first level that LZ4-HC compresses; below it is LZ4's fast method.
#define FIRST_HC_LEVEL 3

size_t mn_compress_bound(size_t length) {
  if (length > LZ4_MAX_INPUT_SIZE) return 0;
  return (size_t)LZ4_compressBound((int)length);
}

size_t mn_compress_scratch_size(int level) {
  return (size_t)(level < FIRST_HC_LEVEL ? LZ4_sizeofState() : LZ4_sizeofStateHC());
}

size_t mn_compress(const uint8_t *source, size_t length, uint8_t *target, size_t capacity,
                   int level, void *scratch) {
  if (length > LZ4_MAX_INPUT_SIZE) return 0;
  // No block is longer than its bound, so that a larger target needs no larger `int`.
  size_t bound = mn_compress_bound(length);
  int room = (int)(capacity < bound ? capacity : bound);
  const char *from = (const char *)source;
  char *to = (char *)target;
  int size = level < FIRST_HC_LEVEL
                 ? LZ4_compress_fast_extState(scratch, from, to, (int)length, room, 1)
                 : LZ4_compress_HC_extStateHC(scratch, from, to, (int)length, room, level);
  return size > 0 ? (size_t)size : 0;
}

bool mn_decompress(const uint8_t *source, size_t length, uint8_t *target, size_t expected) {
  if (length > INT_MAX || expected > LZ4_MAX_INPUT_SIZE) return false;
  int size = LZ4_decompress_safe((const char *)source, (char *)target, (int)length, (int)expected);
  return size >= 0 && (size_t)size == expected;
}
