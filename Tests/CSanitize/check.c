// The C kernels under AddressSanitizer and UndefinedBehaviorSanitizer: every buffer has exactly the
// bytes that the contract promises, so that a read or write beside it is seen. Takes a seed and a
// number of rounds; prints the seed it used.
#include "CMuninn.h"
#include "mn_chunk_definition.h"
#include "mn_hash_kernels.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state;

static uint64_t next(void) {
  uint64_t z = state += 0x9E3779B97F4A7C15ull;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}

static size_t below(size_t bound) { return (size_t)(next() % bound); }

static void require(bool good, const char *what) {
  if (good) return;
  fprintf(stderr, "failed: %s\n", what);
  exit(1);
}

/// `length` bytes on the heap, none of them spare, of a kind chosen at random.
static uint8_t *sample(size_t length) {
  uint8_t *bytes = malloc(length ? length : 1);
  require(bytes != NULL, "memory");
  size_t kind = below(5), period = 1 + below(500);
  for (size_t k = 0; k < length; k++) {
    switch (kind) {
      case 0: bytes[k] = (uint8_t)next(); break;
      case 1: bytes[k] = (uint8_t)"ACGT"[below(4)]; break;
      case 2: bytes[k] = k < period ? (uint8_t)next() : bytes[k - period]; break;
      case 3: bytes[k] = below(50) == 0 ? (uint8_t)next() : 0; break;
      default: bytes[k] = (uint8_t)(k >> 8); break;
    }
  }
  return bytes;
}

/// The filter of the window before `end`, straight from its definition.
static uint8_t filter(const uint8_t *end) {
  uint8_t over[MN_WINDOW];
  memcpy(over, end - MN_WINDOW, MN_WINDOW);
  size_t count = MN_WINDOW;
  for (int level = 0; level < MN_LEVELS; level++) {
    count /= 2;
    for (size_t k = 0; k < count; k++) {
      uint8_t x = over[2 * k];
      over[k] = over[2 * k + 1] ^ x ^ (x < 128 ? mn_tables[level][x % 16] : 0);
    }
  }
  return over[0];
}

/// Where mn_chunk_next must cut, place by place.
static size_t expected_cut(mn_chunk_sizes sizes, const uint8_t *data, size_t length) {
  if (length <= sizes.minimum) return length;
  size_t end = length < sizes.maximum ? length : sizes.maximum;
  uint64_t spread = sizes.average - sizes.minimum;
  size_t normal = sizes.minimum + spread * 221 / 256;
  uint64_t before = spread * 3 > 256 ? UINT64_MAX / (spread * 3) * 256 : UINT64_MAX;
  uint64_t behind = spread / 3 > 256 ? UINT64_MAX / (spread / 3) * 256 : UINT64_MAX;
  uint64_t best = UINT64_MAX;
  size_t fallback = end;
  for (size_t place = sizes.minimum; place < end; place++) {
    if (filter(data + place) != MN_FILTER_BYTE) continue;
    uint64_t rank = mn_rank(data + place);
    if (rank < (place < normal ? before : behind)) return place;
    if (rank <= best) {
      best = rank;
      fallback = place;
    }
  }
  return length < sizes.maximum ? length : fallback;
}

static void check_chunks(void) {
  size_t length = 1 + below(below(4) == 0 ? 60000 : 3000);
  uint8_t *data = sample(length);
  mn_chunk_sizes sizes;
  sizes.minimum = MN_WINDOW + (uint32_t)below(below(2) == 0 ? 10 : 1000);
  sizes.average = sizes.minimum + 1 + (uint32_t)below(4000);
  sizes.maximum = sizes.average + 1 + (uint32_t)below(20000);
  require(mn_chunk_sizes_valid(sizes), "sizes are valid");
  size_t expected = expected_cut(sizes, data, length);
  require(mn_chunk_next(sizes, data, length) == expected, "chosen kernel cuts by the definition");
  for (int kernel = 0; kernel < MN_KERNEL_COUNT; kernel++) {
    if (!mn_kernel_usable((mn_kernel)kernel)) continue;
    size_t found = mn_chunk_next_using((mn_kernel)kernel, sizes, data, length, NULL);
    require(found == expected, mn_kernel_name((mn_kernel)kernel));
  }
  free(data);
}

static void check_fingerprints(void) {
  size_t length = below(3000);
  uint8_t *data = sample(length);
  uint8_t *secret = sample(MN_SECRET_SIZE);
  mn_fingerprint found = mn_fingerprint_of(secret, data, length);
  mn_fingerprint expected = mn_fingerprint_baseline(secret, data, length);
  require(found.low == expected.low && found.high == expected.high, "fingerprint kernels agree");
  uint64_t checksum = mn_checksum_baseline(data, length);
  require(mn_checksum(data, length) == checksum, "checksum kernels agree");
#if defined(__x86_64__)
  if (mn_kernel_usable(MN_KERNEL_AVX2)) {
    found = mn_fingerprint_avx2(secret, data, length);
    require(found.low == expected.low && found.high == expected.high, "avx2 fingerprint agrees");
    require(mn_checksum_avx2(data, length) == checksum, "avx2 checksum agrees");
  }
#endif
  free(secret);
  free(data);
}

static void check_blocks(void) {
  static const int levels[] = {1, 3, 9, 12};
  int level = levels[below(4)];
  size_t length = below(below(8) == 0 ? 80000 : 2000);
  uint8_t *data = sample(length);
  (void)mn_looks_incompressible(data, length);
  size_t bound = mn_compress_bound(length);
  uint8_t *block = malloc(bound);
  void *scratch = malloc(mn_compress_scratch_size(level));
  require(block != NULL && scratch != NULL, "memory");
  size_t size = mn_compress(data, length, block, bound, level, scratch);
  require(size > 0 && size <= bound, "compression fits its bound");
  block = realloc(block, size);
  uint8_t *back = malloc(length ? length : 1);
  require(back != NULL && mn_decompress(block, size, back, length), "block decompresses");
  require(memcmp(back, data, length) == 0, "round trip");
  for (int round = 0; round < 8; round++) {
    block[below(size)] ^= (uint8_t)(1 + below(255));
    (void)mn_decompress(block, size, back, length);
  }
  size_t cut = below(size);
  uint8_t *shorter = malloc(cut ? cut : 1);
  require(shorter != NULL, "memory");
  memcpy(shorter, block, cut);
  (void)mn_decompress(shorter, cut, back, length);
  free(shorter);
  free(back);
  free(scratch);
  free(block);
  free(data);
}

int main(int count, char **arguments) {
  state = count > 1 ? strtoull(arguments[1], NULL, 0) : 1;
  long rounds = count > 2 ? strtol(arguments[2], NULL, 0) : 3000;
  const char *kernel = mn_kernel_name(mn_kernel_best());
  printf("seed %" PRIu64 ", %ld rounds, kernel %s\n", state, rounds, kernel);
  for (long round = 0; round < rounds; round++) {
    check_chunks();
    check_fingerprints();
    check_blocks();
  }
  puts("no finding");
  return 0;
}
