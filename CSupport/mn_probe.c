// A cheap guess whether LZ4 would shrink a block at all, from a few samples of it.
#include "CMuninn.h"

#include <lz4.h>

/// Blocks below this are not worth a guess: compressing them is as cheap.
#define SMALLEST 32768
/// The histogram looks at this many pieces of so many bytes, spread over the block.
#define PIECES 32
#define PIECE 128
/// Sums of squares below this are even: of the measured limits the one that finds most and wrongs
/// few.
#define EVEN_SQUARES 75000
/// The trial compresses this many bytes at each of two places.
#define TRIAL 16384
/// A trial that saves less than a 32nd is in vain.
#define WORTHWHILE (TRIAL - TRIAL / 32)

/// Whether the bytes of samples are so evenly spread as those of compressed or encrypted data. LZ4
/// has no entropy coder, so an uneven spread doesn't mean that it would win; but only for even ones
/// is the trial below worth its time.
static bool looks_even(const uint8_t *data, size_t length) {
  // Four counters for each value, so that equal bytes in a row don't wait for each other.
  uint16_t counts[4][256] = {{0}};
  size_t step = (length - PIECE) / (PIECES - 1);
  for (size_t piece = 0; piece < PIECES; piece++) {
    const uint8_t *bytes = data + piece * step;
    for (size_t k = 0; k < PIECE; k += 4) {
      counts[0][bytes[k]]++;
      counts[1][bytes[k + 1]]++;
      counts[2][bytes[k + 2]]++;
      counts[3][bytes[k + 3]]++;
    }
  }
  uint32_t squares = 0;
  for (int value = 0; value < 256; value++) {
    uint32_t count = 0;
    for (int part = 0; part < 4; part++) count += counts[part][value];
    squares += count * count;
  }
  // For n = 4096 even bytes the sum of squares is n + n^2 / 256 = 69,600, with a deviation of some
  // 360.
  return squares < EVEN_SQUARES;
}

bool mn_looks_incompressible(const uint8_t *data, size_t length) {
  if (length < SMALLEST || !looks_even(data, length)) return false;
  char block[WORTHWHILE];
  for (size_t place = 1; place <= 2; place++) {
    const uint8_t *sample = data + (length - TRIAL) / 3 * place;
    if (LZ4_compress_default((const char *)sample, block, TRIAL, sizeof block) > 0) return false;
  }
  return true;
}
