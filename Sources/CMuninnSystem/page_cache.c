/* What of a file is in the page cache, and giving it back. */
#define _GNU_SOURCE
#include "CMuninnSystem.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* From linux/mman.h, which older headers do not have yet. */
struct cached_range {
  uint64_t offset;
  uint64_t count;
};
struct cached_counts {
  uint64_t cached, dirty, writeback, evicted, recently_evicted;
};
enum { cachestat_number = 451 };

static int pages_by_mincore(int descriptor, uint64_t offset, uint64_t count, uint64_t *pages) {
  struct stat status;
  if (fstat(descriptor, &status) < 0)
    return -errno;
  uint64_t size = (uint64_t)status.st_size;
  if (count == 0 && offset < size)
    count = size - offset;
  const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
  const uint64_t window = 64 << 20;
  static _Thread_local unsigned char resident[(64 << 20) / 4096];
  *pages = 0;
  for (uint64_t at = offset & ~(page - 1); at < offset + count && at < size; at += window) {
    uint64_t length = size - at < window ? size - at : window;
    void *map = mmap(NULL, length, PROT_READ, MAP_SHARED, descriptor, (off_t)at);
    if (map == MAP_FAILED)
      return -errno;
    int returned = mincore(map, length, resident) < 0 ? -errno : 0;
    munmap(map, length);
    if (returned < 0)
      return returned;
    for (uint64_t n = 0; n < (length + page - 1) / page; n++)
      *pages += resident[n] & 1;
  }
  return 0;
}

int muninn_cached_pages(int descriptor, uint64_t offset, uint64_t count, uint64_t *pages) {
  struct cached_range range = {offset, count};
  struct cached_counts counts;
  if (syscall(cachestat_number, descriptor, &range, &counts, 0) == 0) {
    *pages = counts.cached;
    return 0;
  }
  return errno == ENOSYS ? pages_by_mincore(descriptor, offset, count, pages) : -errno;
}

int muninn_drop_pages(int descriptor, int64_t offset, int64_t count) {
  return -posix_fadvise(descriptor, offset, count, POSIX_FADV_DONTNEED);
}
