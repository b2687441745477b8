// Makes the k-th system call of a kind fail in a program that knows nothing of it: preloaded before
// the C library. Only calls on files below one directory count.
//
//   MUNINN_FAULT_BELOW=DIR        whose files count
//   MUNINN_FAULT=KIND,K,EFFECT    the K-th call (from 1) of KIND: write, sync, name or read.
//                                 EFFECT: an errno by name, `short` (half is done), `kill` (SIGKILL
//                                 before the call); a `+` behind it means the later ones too
//   MUNINN_FAULT_COUNTS=FILE      where the counts are written when the program ends
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { WRITE, SYNC, NAME, READ, KINDS };
static const char *const names[KINDS] = {"write", "sync", "name", "read"};
static atomic_long counts[KINDS];
static enum kind wanted = KINDS;
static long place;
static bool and_later, is_short, is_kill;
static int wanted_errno;
static const char *below;
static size_t below_length;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void set_effect(const char *effect) {
  static const struct {
    const char *name;
    int value;
  } known[] = {{"EIO", EIO}, {"EDQUOT", EDQUOT}, {"ENOSPC", ENOSPC}, {"EINTR", EINTR}};
  is_short = strncmp(effect, "short", 5) == 0;
  is_kill = strncmp(effect, "kill", 4) == 0;
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (strncmp(effect, known[i].name, strlen(known[i].name)) == 0) wanted_errno = known[i].value;
  and_later = strchr(effect, '+') != NULL;
  if (!is_short && !is_kill && wanted_errno == 0) abort();
}

static void begin(void) {
  below = getenv("MUNINN_FAULT_BELOW");
  below_length = below ? strlen(below) : 0;
  const char *fault = getenv("MUNINN_FAULT");
  char kind[16], effect[16];
  if (!below || !fault) return;
  if (sscanf(fault, "%15[a-z],%ld,%15[A-Za-z+]", kind, &place, effect) != 3) abort();
  for (int i = 0; i < KINDS; i++)
    if (strcmp(kind, names[i]) == 0) wanted = (enum kind)i;
  if (wanted == KINDS) abort();
  set_effect(effect);
}

__attribute__((destructor)) static void end(void) {
  const char *file = getenv("MUNINN_FAULT_COUNTS");
  FILE *out = file ? fopen(file, "w") : NULL;
  if (!out) return;
  for (int i = 0; i < KINDS; i++) fprintf(out, "%s %ld\n", names[i], atomic_load(&counts[i]));
  fclose(out);
}

static bool is_below(int descriptor) {
  pthread_once(&once, begin);
  if (!below) return false;
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  ssize_t length = readlink(link, path, sizeof path);
  return length > (ssize_t)below_length && memcmp(path, below, below_length) == 0;
}

// Whether this call is to fail; counts it.
static bool fails(enum kind kind, int descriptor) {
  if (!is_below(descriptor)) return false;
  long number = atomic_fetch_add(&counts[kind], 1) + 1;
  if (kind != wanted || !(number == place || (and_later && number > place))) return false;
  if (is_kill) raise(SIGKILL);
  return true;
}

#define REAL(result, name, ...)                                                                    \
  static result (*real)(__VA_ARGS__);                                                              \
  if (!real) real = (result(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

#define FAIL_IF(kind, descriptor)                                                                  \
  if (fails(kind, descriptor)) {                                                                   \
    errno = is_short ? EIO : wanted_errno;                                                         \
    return -1;                                                                                     \
  }

ssize_t pwrite(int descriptor, const void *bytes, size_t count, off_t offset) {
  REAL(ssize_t, pwrite, int, const void *, size_t, off_t);
  if (fails(WRITE, descriptor)) {
    // Direct writes are made of whole pages.
    size_t half = count / 2 & ~(size_t)4095;
    if (is_short) return real(descriptor, bytes, half ? half : (count + 1) / 2, offset);
    errno = wanted_errno;
    return -1;
  }
  return real(descriptor, bytes, count, offset);
}

ssize_t write(int descriptor, const void *bytes, size_t count) {
  REAL(ssize_t, write, int, const void *, size_t);
  if (fails(WRITE, descriptor)) {
    if (is_short) return real(descriptor, bytes, (count + 1) / 2);
    errno = wanted_errno;
    return -1;
  }
  return real(descriptor, bytes, count);
}

ssize_t pread(int descriptor, void *bytes, size_t count, off_t offset) {
  REAL(ssize_t, pread, int, void *, size_t, off_t);
  if (fails(READ, descriptor)) {
    if (is_short) return real(descriptor, bytes, (count + 1) / 2, offset);
    errno = wanted_errno;
    return -1;
  }
  return real(descriptor, bytes, count, offset);
}

int fallocate(int descriptor, int mode, off_t offset, off_t count) {
  REAL(int, fallocate, int, int, off_t, off_t);
  // Space is had whole or not at all.
  if (fails(WRITE, descriptor) && !is_short) {
    errno = wanted_errno;
    return -1;
  }
  return real(descriptor, mode, offset, count);
}

int fsync(int descriptor) {
  REAL(int, fsync, int);
  FAIL_IF(SYNC, descriptor)
  return real(descriptor);
}

int syncfs(int descriptor) {
  REAL(int, syncfs, int);
  FAIL_IF(SYNC, descriptor)
  return real(descriptor);
}

// Below says the directory that the name is made in: the repository gives names relative to itself.
static bool name_fails(int directory, const char *name) {
  if (directory != AT_FDCWD) {
    char link[64], path[PATH_MAX];
    pthread_once(&once, begin);
    if (!below) return false;
    snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
    ssize_t length = readlink(link, path, sizeof path);
    if (length < (ssize_t)below_length || memcmp(path, below, below_length) != 0) return false;
  } else {
    pthread_once(&once, begin);
    if (!below || strncmp(name, below, below_length) != 0) return false;
  }
  long number = atomic_fetch_add(&counts[NAME], 1) + 1;
  if (wanted != NAME || !(number == place || (and_later && number > place))) return false;
  if (is_kill) raise(SIGKILL);
  errno = is_short ? EIO : wanted_errno;
  return true;
}

int linkat(int from, const char *old, int to, const char *name, int flags) {
  REAL(int, linkat, int, const char *, int, const char *, int);
  if (name_fails(to, name)) return -1;
  return real(from, old, to, name, flags);
}

int renameat(int from, const char *old, int to, const char *name) {
  REAL(int, renameat, int, const char *, int, const char *);
  if (name_fails(to, name)) return -1;
  return real(from, old, to, name);
}

int renameat2(int from, const char *old, int to, const char *name, unsigned flags) {
  REAL(int, renameat2, int, const char *, int, const char *, unsigned);
  if (name_fails(to, name)) return -1;
  return real(from, old, to, name, flags);
}

int rename(const char *old, const char *name) {
  REAL(int, rename, const char *, const char *);
  if (name_fails(AT_FDCWD, name)) return -1;
  return real(old, name);
}

int mkdirat(int directory, const char *name, mode_t mode) {
  REAL(int, mkdirat, int, const char *, mode_t);
  if (name_fails(directory, name)) return -1;
  return real(directory, name, mode);
}
