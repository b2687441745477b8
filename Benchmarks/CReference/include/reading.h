// Ways of reading files that Muninn's own are measured against; none is part of the product.
#ifndef READING_H
#define READING_H

#include <stddef.h>
#include <stdint.h>

/// preadv2 with RWF_DONTCACHE: pages that it brought in leave the cache again. Bytes read or
/// -errno.
ptrdiff_t reference_read_uncached(int descriptor, void *buffer, size_t count, int64_t offset);

/// open with O_DIRECT. The descriptor or -errno.
int reference_open_direct(const char *path);

/// An io_uring of one thread, with slots for files that are opened and closed within the ring.
typedef struct reference_ring reference_ring;

/// `depth` files at a time. NULL and *error where the kernel has no such ring.
reference_ring *reference_ring_open(unsigned depth, int *error);
void reference_ring_close(reference_ring *ring);

/// Opens, reads and closes `count` files, at most the depth of them, with one call into the kernel.
/// File i is read into targets[i], up to capacities[i] bytes; sizes[i] becomes the bytes read or
/// -errno. Returns 0 or -errno.
int reference_ring_read_files(reference_ring *ring, const char *const *paths, void *const *targets,
                              const uint32_t *capacities, int64_t *sizes, unsigned count);

#endif
