// Reading without the page cache, and with io_uring straight from its ABI (io_uring(7)): open, read
// and close of each file are three linked requests on a slot of the ring, so that a batch costs one
// call.
#define _GNU_SOURCE
#include "reading.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef RWF_DONTCACHE
#define RWF_DONTCACHE 0x00000080
#endif

ptrdiff_t reference_read_uncached(int descriptor, void *buffer, size_t count, int64_t offset) {
  struct iovec part = {.iov_base = buffer, .iov_len = count};
  ssize_t got = preadv2(descriptor, &part, 1, offset, RWF_DONTCACHE);
  return got < 0 ? -(ptrdiff_t)errno : got;
}

int reference_open_direct(const char *path) {
  int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_DIRECT);
  return descriptor < 0 ? -errno : descriptor;
}

enum { requests_per_file = 3, step_open = 0, step_read = 1, step_close = 2 };

struct reference_ring {
  int descriptor;
  unsigned depth;
  void *rings;
  size_t rings_size;
  struct io_uring_sqe *requests;
  size_t requests_size;
  _Atomic unsigned *submission_tail;
  unsigned *submission_array;
  unsigned submission_mask;
  _Atomic unsigned *completion_head;
  _Atomic unsigned *completion_tail;
  unsigned completion_mask;
  struct io_uring_cqe *completions;
};

static int register_slots(int descriptor, unsigned count) {
  struct io_uring_rsrc_register slots;
  memset(&slots, 0, sizeof slots);
  slots.nr = count;
  slots.flags = IORING_RSRC_REGISTER_SPARSE;
  return (int)syscall(SYS_io_uring_register, descriptor, IORING_REGISTER_FILES2, &slots,
                      sizeof slots);
}

static int map_ring(reference_ring *ring, const struct io_uring_params *parameters) {
  size_t submissions = parameters->sq_off.array + parameters->sq_entries * sizeof(unsigned);
  size_t completions =
      parameters->cq_off.cqes + parameters->cq_entries * sizeof(struct io_uring_cqe);
  ring->rings_size = submissions > completions ? submissions : completions;
  ring->requests_size = parameters->sq_entries * sizeof(struct io_uring_sqe);
  int access = PROT_READ | PROT_WRITE;
  int flags = MAP_SHARED | MAP_POPULATE;
  ring->rings =
      mmap(NULL, ring->rings_size, access, flags, ring->descriptor, IORING_OFF_SQ_RING);
  if (ring->rings == MAP_FAILED) {
    ring->rings = NULL;
    return -errno;
  }
  void *requests =
      mmap(NULL, ring->requests_size, access, flags, ring->descriptor, IORING_OFF_SQES);
  if (requests == MAP_FAILED)
    return -errno;
  ring->requests = requests;
  char *base = ring->rings;
  ring->submission_tail = (_Atomic unsigned *)(void *)(base + parameters->sq_off.tail);
  ring->submission_array = (unsigned *)(void *)(base + parameters->sq_off.array);
  ring->submission_mask = *(unsigned *)(void *)(base + parameters->sq_off.ring_mask);
  ring->completion_head = (_Atomic unsigned *)(void *)(base + parameters->cq_off.head);
  ring->completion_tail = (_Atomic unsigned *)(void *)(base + parameters->cq_off.tail);
  ring->completion_mask = *(unsigned *)(void *)(base + parameters->cq_off.ring_mask);
  ring->completions = (struct io_uring_cqe *)(void *)(base + parameters->cq_off.cqes);
  return 0;
}

reference_ring *reference_ring_open(unsigned depth, int *error) {
  reference_ring *ring = calloc(1, sizeof *ring);
  if (ring == NULL) {
    *error = -ENOMEM;
    return NULL;
  }
  struct io_uring_params parameters;
  memset(&parameters, 0, sizeof parameters);
  /* One thread submits and waits, so the kernel need not interrupt it to complete. */
  parameters.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
  ring->depth = depth;
  ring->descriptor = (int)syscall(SYS_io_uring_setup, depth * requests_per_file, &parameters);
  if (ring->descriptor < 0) {
    *error = -errno;
    free(ring);
    return NULL;
  }
  *error = (parameters.features & IORING_FEAT_SINGLE_MMAP) ? map_ring(ring, &parameters) : -ENOSYS;
  if (*error == 0 && register_slots(ring->descriptor, depth) < 0)
    *error = -errno;
  if (*error != 0) {
    reference_ring_close(ring);
    return NULL;
  }
  return ring;
}

void reference_ring_close(reference_ring *ring) {
  if (ring->requests != NULL)
    munmap(ring->requests, ring->requests_size);
  if (ring->rings != NULL)
    munmap(ring->rings, ring->rings_size);
  close(ring->descriptor);
  free(ring);
}

static struct io_uring_sqe *next_request(reference_ring *ring, unsigned *tail, unsigned file,
                                         unsigned step) {
  unsigned index = *tail & ring->submission_mask;
  struct io_uring_sqe *request = &ring->requests[index];
  memset(request, 0, sizeof *request);
  request->user_data = (uint64_t)file * requests_per_file + step;
  ring->submission_array[index] = index;
  *tail += 1;
  return request;
}

static void take_completions(reference_ring *ring, int64_t *sizes, unsigned *missing) {
  unsigned head = atomic_load_explicit(ring->completion_head, memory_order_relaxed);
  unsigned tail = atomic_load_explicit(ring->completion_tail, memory_order_acquire);
  for (; head != tail; head++) {
    const struct io_uring_cqe *completion = &ring->completions[head & ring->completion_mask];
    unsigned step = (unsigned)(completion->user_data % requests_per_file);
    uint64_t file = completion->user_data / requests_per_file;
    /* Where the open failed, the read that follows is only cancelled. */
    if (step == step_open && completion->res < 0)
      sizes[file] = completion->res;
    if (step == step_read && sizes[file] == 0)
      sizes[file] = completion->res;
    *missing -= 1;
  }
  atomic_store_explicit(ring->completion_head, head, memory_order_release);
}

int reference_ring_read_files(reference_ring *ring, const char *const *paths, void *const *targets,
                              const uint32_t *capacities, int64_t *sizes, unsigned count) {
  if (count == 0 || count > ring->depth)
    return -EINVAL;
  unsigned tail = atomic_load_explicit(ring->submission_tail, memory_order_relaxed);
  for (unsigned file = 0; file < count; file++) {
    sizes[file] = 0;
    struct io_uring_sqe *request = next_request(ring, &tail, file, step_open);
    request->opcode = IORING_OP_OPENAT;
    request->fd = AT_FDCWD;
    request->addr = (uint64_t)(uintptr_t)paths[file];
    request->open_flags = O_RDONLY | O_NOFOLLOW;
    request->file_index = file + 1;
    request->flags = IOSQE_IO_LINK;
    request = next_request(ring, &tail, file, step_read);
    request->opcode = IORING_OP_READ;
    request->fd = (int)file;
    request->addr = (uint64_t)(uintptr_t)targets[file];
    request->len = capacities[file];
    /* A short read breaks a plain link, and the file would stay open. */
    request->flags = IOSQE_FIXED_FILE | IOSQE_IO_HARDLINK;
    request = next_request(ring, &tail, file, step_close);
    request->opcode = IORING_OP_CLOSE;
    request->file_index = file + 1;
  }
  atomic_store_explicit(ring->submission_tail, tail, memory_order_release);
  unsigned missing = count * requests_per_file;
  unsigned submit = missing;
  while (missing > 0) {
    int entered = (int)syscall(SYS_io_uring_enter, ring->descriptor, submit, missing,
                               IORING_ENTER_GETEVENTS, NULL, 0);
    if (entered < 0 && errno != EINTR)
      return -errno;
    if (entered > 0)
      submit -= (unsigned)entered;
    take_completions(ring, sizes, &missing);
  }
  return 0;
}
