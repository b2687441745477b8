// CMuninn: the byte kernels of Muninn. Content-defined chunking, keyed XXH3-128 fingerprints and
// LZ4 blocks.
//
// No function here allocates, does I/O, or keeps state of its own: every byte that it touches
// belongs to the caller. All functions are safe to call from many threads at once. Malformed input
// is refused, never trusted.
#ifndef CMUNINN_H
#define CMUNINN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// ---- Chunking ----------------------------------------------------------------------------------

/// Bytes that decide about a place: both hashes of a cut are functions of the MN_WINDOW bytes
/// before it alone.
#define MN_WINDOW 64

/// Sizes of a repository's chunks, in bytes: MN_WINDOW <= minimum < average < maximum <= 16 MiB.
typedef struct {
  uint32_t minimum;
  uint32_t average;
  uint32_t maximum;
} mn_chunk_sizes;

/// Whether the sizes can be used with mn_chunk_next.
bool mn_chunk_sizes_valid(mn_chunk_sizes sizes);

/// Length in bytes of the chunk that begins at data[0], when `length` bytes follow. Returns
/// `length` itself where length <= minimum. Looks at no more than sizes.maximum bytes, so that a
/// caller who streams needs to have sizes.maximum bytes at hand or the end of the stream. The cut
/// places depend on the content and the sizes only; every kernel returns the same. On random data
/// the mean length is sizes.average. Where nothing within sizes.maximum bytes is a cut, the best
/// candidate there is taken; without any candidate, as in a run of one byte value, the chunk has
/// sizes.maximum bytes.
size_t mn_chunk_next(mn_chunk_sizes sizes, const uint8_t *data, size_t length);

/// The implementations of mn_chunk_next, slowest first. All cut at the same places.
typedef enum {
  MN_KERNEL_PORTABLE = 0,
  MN_KERNEL_NEON = 1,
  MN_KERNEL_SSSE3 = 2,
  MN_KERNEL_AVX2 = 3,
  /// AVX-512 F and BW, with or without VBMI.
  MN_KERNEL_AVX512 = 4,
} mn_kernel;

#define MN_KERNEL_COUNT 5

/// Whether this processor can run a kernel.
bool mn_kernel_usable(mn_kernel kernel);

/// The kernel that mn_chunk_next uses on this processor.
mn_kernel mn_kernel_best(void);

/// A short lower-case name, never NULL.
const char *mn_kernel_name(mn_kernel kernel);

/// Why a chunk ends where it ends.
typedef enum {
  /// Its content passed a threshold.
  MN_END_CUT = 0,
  /// Nothing did up to the maximum: the best candidate was taken, by content as well.
  MN_END_CANDIDATE = 1,
  /// There was no candidate either: it has the maximum size, wherever it began.
  MN_END_MAXIMUM = 2,
  /// The data ended.
  MN_END_DATA = 3,
} mn_chunk_end;

/// mn_chunk_next on a given kernel, which must be usable: for tests and measurements. `end` may be
/// NULL.
size_t mn_chunk_next_using(mn_kernel kernel, mn_chunk_sizes sizes, const uint8_t *data,
                           size_t length, mn_chunk_end *end);

// ---- Fingerprints ------------------------------------------------------------------------------

/// Bytes of a repository's fingerprint secret.
#define MN_SECRET_SIZE 192

typedef struct {
  uint64_t low;
  uint64_t high;
} mn_fingerprint;

/// XXH3-128 of `length` bytes keyed with a secret of MN_SECRET_SIZE bytes.
mn_fingerprint mn_fingerprint_of(const uint8_t *secret, const uint8_t *data, size_t length);

/// XXH3-64, unkeyed: the checksum of stored bytes.
uint64_t mn_checksum(const uint8_t *data, size_t length);

// ---- Blocks ------------------------------------------------------------------------------------

/// The largest size, in bytes, that mn_compress can need for `length` bytes; 0 where length is over
/// 0x7E000000.
size_t mn_compress_bound(size_t length);

/// Compresses into an LZ4 block. `level` 1 is LZ4's fast method; 3 to 12 are LZ4-HC's levels.
/// `scratch` is working memory of mn_compress_scratch_size(level) bytes, aligned to 16.
/// Returns the compressed size, or 0 where it does not fit into `capacity`.
size_t mn_compress(const uint8_t *source, size_t length, uint8_t *target, size_t capacity,
                   int level, void *scratch);

/// Bytes of working memory that mn_compress needs at `level`.
size_t mn_compress_scratch_size(int level);

/// Whether `length` bytes are, by the look of a few samples, such as LZ4 would not shrink: then
/// they are better stored as they are. False where `length` is under 32 KiB. Costs about 2
/// microseconds, 12 where the answer is true.
bool mn_looks_incompressible(const uint8_t *data, size_t length);

/// Decompresses an LZ4 block of exactly `length` stored bytes into exactly `expected` bytes.
/// Returns false where the block is malformed or decodes to another size; never writes outside
/// `target`.
bool mn_decompress(const uint8_t *source, size_t length, uint8_t *target, size_t expected);

#ifdef __cplusplus
}
#endif

#endif
