// libFuzzer's entry for the C kernels. MUNINN_FUZZ_READER names the property:
//   chunks      all kernels that this processor has cut where the portable one cuts
//   decompress  a block of any bytes is refused or decodes, and touches nothing else
//   compress    what is compressed decompresses to the same bytes; checksums and fingerprints agree
#include "CMuninn.h"
#include "mn_hash_kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE 4096
#define ROOM (1 << 18)

static void require(bool good, const char *what) {
  if (good) return;
  fprintf(stderr, "failed: %s\n", what);
  abort();
}

/// `length` bytes that end where a page without access begins: liblz4 isn't compiled with a
/// sanitizer.
static uint8_t *guarded(int which, size_t length) {
  static uint8_t *arenas[3];
  if (arenas[which] == NULL) {
    int kind = MAP_PRIVATE | MAP_ANONYMOUS;
    uint8_t *arena = mmap(NULL, ROOM + PAGE, PROT_READ | PROT_WRITE, kind, -1, 0);
    require(arena != MAP_FAILED && mprotect(arena + ROOM, PAGE, PROT_NONE) == 0, "memory");
    arenas[which] = arena;
  }
  require(length <= ROOM, "room");
  return arenas[which] + ROOM - length;
}

static uint32_t number(const uint8_t *bytes) { return bytes[0] | (uint32_t)bytes[1] << 8; }

/// Sizes (2 bytes each), bytes to skip (1), repetitions (1), data.
static void fuzz_chunks(const uint8_t *input, size_t length) {
  if (length < 8) return;
  mn_chunk_sizes sizes;
  sizes.minimum = MN_WINDOW + number(input) % 2000;
  sizes.average = sizes.minimum + 1 + number(input + 2) % 4000;
  sizes.maximum = sizes.average + 1 + number(input + 4) % 20000;
  require(mn_chunk_sizes_valid(sizes), "sizes are valid");
  size_t skip = input[6] % 64, times = 1 + input[7] % 16, part = length - 8, count = part * times;
  uint8_t *bytes = malloc(skip + count + 1);
  require(bytes != NULL, "memory");
  // One byte is kept so that no data still has an address; the data end with the allocation.
  uint8_t *data = bytes + 1 + skip;
  for (size_t k = 0; k < times; k++) memcpy(data + k * part, input + 8, part);
  for (size_t start = 0; start < count;) {
    mn_chunk_end why, end;
    size_t left = count - start;
    size_t cut = mn_chunk_next_using(MN_KERNEL_PORTABLE, sizes, data + start, left, &why);
    require(cut > 0 && cut <= left && cut <= sizes.maximum, "chunk within its limits");
    for (int kernel = 1; kernel < MN_KERNEL_COUNT; kernel++) {
      if (!mn_kernel_usable((mn_kernel)kernel)) continue;
      size_t found = mn_chunk_next_using((mn_kernel)kernel, sizes, data + start, left, &end);
      require(found == cut && end == why, mn_kernel_name((mn_kernel)kernel));
    }
    start += cut;
  }
  free(bytes);
}

/// Compresses `data`, which lies in arena 0, and back.
static void round_trip(const uint8_t *data, size_t length, int level, size_t capacity) {
  static uint8_t *scratch;
  if (scratch == NULL) {
    size_t fast = mn_compress_scratch_size(1), high = mn_compress_scratch_size(12);
    scratch = malloc(fast > high ? fast : high);
    require(scratch != NULL, "memory");
  }
  uint8_t *block = guarded(1, capacity);
  size_t size = mn_compress(data, length, block, capacity, level, scratch);
  require(size <= capacity, "compression keeps its capacity");
  require(size > 0 || capacity < mn_compress_bound(length), "compression fits its bound");
  if (size == 0) return;
  memmove(guarded(1, size), block, size);
  uint8_t *back = guarded(2, length);
  require(mn_decompress(guarded(1, size), size, back, length), "block decompresses");
  require(memcmp(back, data, length) == 0, "round trip");
}

/// The expected size (2 bytes), the block.
static void fuzz_decompress(const uint8_t *input, size_t length) {
  if (length < 2 || length > ROOM) return;
  size_t expected = number(input), size = length - 2;
  uint8_t *block = guarded(0, size), *target = guarded(1, expected);
  memcpy(block, input + 2, size);
  memset(target - 64, 0xEE, 64);
  bool good = mn_decompress(block, size, target, expected);
  for (int k = 1; k <= 64; k++) require(target[-k] == 0xEE, "nothing is written before the target");
  if (!good) return;
  memcpy(guarded(0, expected), target, expected);
  round_trip(guarded(0, expected), expected, 1, mn_compress_bound(expected));
}

/// Level (1 byte), capacity (1), repetitions (1), data.
static void fuzz_compress(const uint8_t *input, size_t length) {
  static const int levels[] = {1, 3, 9, 12};
  if (length < 4 || length > 4096) return;
  int level = levels[input[0] % 4];
  size_t part = length - 3, count = part * (1 + input[2] % (level > 3 ? 4 : 16));
  uint8_t *data = guarded(0, count);
  for (size_t k = 0; k < count; k += part) memcpy(data + k, input + 3, part);
  (void)mn_looks_incompressible(data, count);
  size_t bound = mn_compress_bound(count);
  round_trip(data, count, level, input[1] == 0 ? bound : bound * input[1] / 256);

  uint8_t *secret = guarded(2, MN_SECRET_SIZE);
  for (size_t k = 0; k < MN_SECRET_SIZE; k++) secret[k] = input[k % length];
  mn_fingerprint one = mn_fingerprint_of(secret, data, count);
  mn_fingerprint other = mn_fingerprint_baseline(secret, data, count);
  require(one.low == other.low && one.high == other.high, "fingerprint kernels agree");
  require(mn_checksum(data, count) == mn_checksum_baseline(data, count), "checksum kernels agree");
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t length) {
  static void (*fuzz)(const uint8_t *, size_t);
  if (fuzz == NULL) {
    const char *name = getenv("MUNINN_FUZZ_READER");
    require(name != NULL, "MUNINN_FUZZ_READER is set");
    if (strcmp(name, "chunks") == 0) fuzz = fuzz_chunks;
    if (strcmp(name, "decompress") == 0) fuzz = fuzz_decompress;
    if (strcmp(name, "compress") == 0) fuzz = fuzz_compress;
    require(fuzz != NULL, "MUNINN_FUZZ_READER is chunks, decompress or compress");
  }
  fuzz(input, length);
  return 0;
}
