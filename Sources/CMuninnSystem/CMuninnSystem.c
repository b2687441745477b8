#define _GNU_SOURCE
#include "CMuninnSystem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { nanoseconds_per_second = 1000000000 };

/* Results of libc calls (-1 and errno) as this header's (-errno). */
static int result_of(int returned) { return returned < 0 ? -errno : returned; }
static ptrdiff_t count_of(ssize_t returned) { return returned < 0 ? -(ptrdiff_t)errno : returned; }

static uint8_t kind_of_mode(unsigned mode) {
  switch (mode & S_IFMT) {
  case S_IFREG: return 1;
  case S_IFDIR: return 2;
  case S_IFLNK: return 3;
  case S_IFIFO: return 4;
  case S_IFSOCK: return 5;
  case S_IFCHR: return 6;
  case S_IFBLK: return 7;
  default: return 0;
  }
}

static int64_t nanoseconds_of(struct statx_timestamp time) {
  int64_t nanoseconds;
  if (__builtin_mul_overflow((int64_t)time.tv_sec, (int64_t)nanoseconds_per_second, &nanoseconds) ||
      __builtin_add_overflow(nanoseconds, (int64_t)time.tv_nsec, &nanoseconds))
    return time.tv_sec < 0 ? INT64_MIN : INT64_MAX;
  return nanoseconds;
}

int muninn_status_at(int directory, const char *name, struct muninn_status *status) {
  struct statx x;
  int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT;
  if (name[0] == '\0')
    flags |= AT_EMPTY_PATH;
  if (statx(directory, name, flags, STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID, &x) < 0)
    return -errno;
  status->size = x.stx_size;
  status->blocks512 = x.stx_blocks;
  status->inode = x.stx_ino;
  status->attributes = x.stx_attributes;
  status->mount_id = (x.stx_mask & STATX_MNT_ID) ? x.stx_mnt_id : 0;
  status->modified_ns = nanoseconds_of(x.stx_mtime);
  status->changed_ns = nanoseconds_of(x.stx_ctime);
  status->accessed_ns = nanoseconds_of(x.stx_atime);
  status->has_birth = (x.stx_mask & STATX_BTIME) != 0;
  status->birth_ns = status->has_birth ? nanoseconds_of(x.stx_btime) : 0;
  status->user_id = x.stx_uid;
  status->group_id = x.stx_gid;
  status->link_count = x.stx_nlink;
  status->device_major = x.stx_dev_major;
  status->device_minor = x.stx_dev_minor;
  status->rdev_major = x.stx_rdev_major;
  status->rdev_minor = x.stx_rdev_minor;
  status->mode = x.stx_mode & 07777;
  status->kind = kind_of_mode(x.stx_mode);
  return 0;
}

int muninn_open_at(int directory, const char *name, int flags, int extra, unsigned mode) {
  if (extra & muninn_open_path)
    flags |= O_PATH;
  if (extra & muninn_open_noatime)
    flags |= O_NOATIME;
  if (extra & muninn_open_temporary)
    flags |= O_TMPFILE;
  if (extra & muninn_open_direct)
    flags |= O_DIRECT;
  return result_of(openat(directory, name, flags | O_CLOEXEC, (mode_t)mode));
}

ptrdiff_t muninn_read_directory(int directory, void *buffer, size_t capacity) {
  return count_of(getdents64(directory, buffer, capacity));
}

size_t muninn_directory_entry_at(const void *buffer, size_t length, size_t offset,
                                 struct muninn_directory_entry *entry) {
  const size_t header = offsetof(struct dirent64, d_name);
  if (offset > length || length - offset < header + 1)
    return 0;
  /* The kernel aligns records to 8 bytes, and so does the buffer of the caller. */
  const struct dirent64 *record = (const struct dirent64 *)((const char *)buffer + offset);
  size_t record_length = record->d_reclen;
  if (record_length < header + 1 || record_length > length - offset)
    return 0;
  size_t room = record_length - header;
  size_t name_length = strnlen(record->d_name, room);
  if (name_length == room)
    return 0;
  entry->inode = record->d_ino;
  entry->name_offset = offset + header;
  entry->name_length = name_length;
  entry->kind = kind_of_mode(DTTOIF(record->d_type));
  return offset + record_length;
}

int muninn_make_node(int directory, const char *name, int kind, unsigned mode,
                     uint32_t device_major, uint32_t device_minor) {
  mode_t type;
  dev_t device = 0;
  switch (kind) {
  case 4: type = S_IFIFO; break;
  case 5: type = S_IFSOCK; break;
  case 6: type = S_IFCHR; break;
  case 7: type = S_IFBLK; break;
  default: return -EINVAL;
  }
  if (type == S_IFCHR || type == S_IFBLK)
    device = makedev(device_major, device_minor);
  return result_of(mknodat(directory, name, type | (mode & 07777), device));
}

/* The l*xattr calls take a path only; "/proc/self/fd/N/name" is one that no rename of a parent can
 * misdirect. Enough room for a descriptor's number and for one path. */
struct xattr_path {
  char text[32 + 4096];
};

static const char *xattr_path_of(int directory, const char *name, struct xattr_path *path) {
  if (directory == AT_FDCWD || name[0] == '/')
    return name;
  int length = snprintf(path->text, sizeof path->text, "/proc/self/fd/%d/%s", directory, name);
  return length < 0 || (size_t)length >= sizeof path->text ? NULL : path->text;
}

ptrdiff_t muninn_list_xattr_at(int directory, const char *name, char *list, size_t capacity) {
  if (name == NULL)
    return count_of(flistxattr(directory, list, capacity));
  struct xattr_path storage;
  const char *path = xattr_path_of(directory, name, &storage);
  return path ? count_of(llistxattr(path, list, capacity)) : -ENAMETOOLONG;
}

ptrdiff_t muninn_get_xattr_at(int directory, const char *name, const char *attribute, void *value,
                              size_t capacity) {
  if (name == NULL)
    return count_of(fgetxattr(directory, attribute, value, capacity));
  struct xattr_path storage;
  const char *path = xattr_path_of(directory, name, &storage);
  return path ? count_of(lgetxattr(path, attribute, value, capacity)) : -ENAMETOOLONG;
}

int muninn_set_xattr_at(int directory, const char *name, const char *attribute, const void *value,
                        size_t size) {
  if (name == NULL)
    return result_of(fsetxattr(directory, attribute, value, size, 0));
  struct xattr_path storage;
  const char *path = xattr_path_of(directory, name, &storage);
  return path ? result_of(lsetxattr(path, attribute, value, size, 0)) : -ENAMETOOLONG;
}

int muninn_remove_xattr_at(int directory, const char *name, const char *attribute) {
  if (name == NULL)
    return result_of(fremovexattr(directory, attribute));
  struct xattr_path storage;
  const char *path = xattr_path_of(directory, name, &storage);
  return path ? result_of(lremovexattr(path, attribute)) : -ENAMETOOLONG;
}

int muninn_get_flags(int descriptor, uint32_t *flags) {
  int value = 0;
  int returned = result_of(ioctl(descriptor, FS_IOC_GETFLAGS, &value));
  *flags = (uint32_t)value;
  return returned;
}

int muninn_set_flags(int descriptor, uint32_t flags) {
  int value = (int)flags;
  return result_of(ioctl(descriptor, FS_IOC_SETFLAGS, &value));
}

int muninn_extent_count(int descriptor, uint64_t *count) {
  enum { extents_per_call = 128 };
  union {
    struct fiemap map;
    char room[sizeof(struct fiemap) + extents_per_call * sizeof(struct fiemap_extent)];
  } answer;
  struct fiemap *map = &answer.map;
  uint64_t start = 0;
  struct fiemap_extent last;
  memset(&last, 0, sizeof last);
  *count = 0;
  for (;;) {
    memset(&answer, 0, sizeof answer);
    map->fm_start = start;
    map->fm_length = FIEMAP_MAX_OFFSET - start;
    map->fm_extent_count = extents_per_call;
    int returned = result_of(ioctl(descriptor, FS_IOC_FIEMAP, map));
    if (returned < 0)
      return returned;
    if (map->fm_mapped_extents == 0)
      return 0;
    for (uint32_t i = 0; i < map->fm_mapped_extents; i++) {
      const struct fiemap_extent *extent = &map->fm_extents[i];
      /* It goes on where the last one ended, or leaves room for the hole between the two. */
      uint64_t dense = last.fe_physical + last.fe_length;
      uint64_t spaced = last.fe_physical + (extent->fe_logical - last.fe_logical);
      if (*count == 0 || (extent->fe_physical != dense && extent->fe_physical != spaced))
        *count += 1;
      last = *extent;
    }
    if (last.fe_flags & FIEMAP_EXTENT_LAST)
      return 0;
    start = last.fe_logical + last.fe_length;
  }
}

int muninn_sync_file_system(int descriptor) { return result_of(syncfs(descriptor)); }

int muninn_forget_pages(int descriptor) {
  return -posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
}

int muninn_file_system_type(int descriptor, uint64_t *type) {
  struct statfs status;
  int returned = result_of(fstatfs(descriptor, &status));
  *type = returned < 0 ? 0 : (uint32_t)status.f_type;
  return returned;
}

int muninn_allocate(int descriptor, int keep_size, int64_t offset, int64_t count) {
  return result_of(fallocate(descriptor, keep_size ? FALLOC_FL_KEEP_SIZE : 0, offset, count));
}

int muninn_punch_hole(int descriptor, int64_t offset, int64_t count) {
  int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  return result_of(fallocate(descriptor, mode, offset, count));
}

int muninn_set_direct(int descriptor, int direct) {
  const int flags = fcntl(descriptor, F_GETFL);
  if (flags < 0)
    return result_of(flags);
  return result_of(fcntl(descriptor, F_SETFL, direct ? flags | O_DIRECT : flags & ~O_DIRECT));
}

int muninn_start_write_back(int descriptor, int64_t offset, int64_t count) {
  return result_of(sync_file_range(descriptor, offset, count, SYNC_FILE_RANGE_WRITE));
}

static int64_t sought(off_t returned) { return returned < 0 ? -(int64_t)errno : returned; }

int64_t muninn_seek_data(int descriptor, int64_t offset) {
  return sought(lseek(descriptor, offset, SEEK_DATA));
}

int64_t muninn_seek_hole(int descriptor, int64_t offset) {
  return sought(lseek(descriptor, offset, SEEK_HOLE));
}

int muninn_link_descriptor(int descriptor, int directory, const char *name) {
  char path[32];
  snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
  return result_of(linkat(AT_FDCWD, path, directory, name, AT_SYMLINK_FOLLOW));
}

int muninn_rename_no_replace(int from_directory, const char *from, int to_directory,
                             const char *to) {
  return result_of(renameat2(from_directory, from, to_directory, to, RENAME_NOREPLACE));
}

static struct timespec timespec_of(int64_t nanoseconds, int keep) {
  int64_t seconds = nanoseconds / nanoseconds_per_second;
  int64_t rest = nanoseconds % nanoseconds_per_second;
  if (rest < 0) {
    seconds -= 1;
    rest += nanoseconds_per_second;
  }
  struct timespec time = {.tv_sec = (time_t)seconds, .tv_nsec = keep ? UTIME_OMIT : (long)rest};
  return time;
}

int muninn_set_times(int directory, const char *name, int64_t accessed_ns, int keep_accessed,
                     int64_t modified_ns, int keep_modified) {
  struct timespec times[2] = {timespec_of(accessed_ns, keep_accessed),
                              timespec_of(modified_ns, keep_modified)};
  if (name == NULL)
    return result_of(futimens(directory, times));
  return result_of(utimensat(directory, name, times, AT_SYMLINK_NOFOLLOW));
}

ptrdiff_t muninn_random(void *buffer, size_t count) {
  return count_of(getrandom(buffer, count, 0));
}

struct thread_start {
  void (*body)(void *);
  void *argument;
};

static void *run_thread(void *start_pointer) {
  struct thread_start start = *(struct thread_start *)start_pointer;
  free(start_pointer);
  start.body(start.argument);
  return NULL;
}

int muninn_start_thread(uintptr_t *thread, size_t stack_size, void (*body)(void *),
                        void *argument) {
  struct thread_start *start = malloc(sizeof *start);
  if (start == NULL)
    return -ENOMEM;
  *start = (struct thread_start){.body = body, .argument = argument};
  pthread_t created;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, stack_size);
  int error = pthread_create(&created, &attributes, run_thread, start);
  pthread_attr_destroy(&attributes);
  if (error != 0) {
    free(start);
    return -error;
  }
  *thread = (uintptr_t)created;
  return 0;
}

void muninn_join_thread(uintptr_t thread) { pthread_join((pthread_t)thread, NULL); }

void muninn_detach_thread(uintptr_t thread) { pthread_detach((pthread_t)thread); }

void muninn_name_thread(const char *name) {
  char shown[16];
  snprintf(shown, sizeof shown, "%s", name);
  pthread_setname_np(pthread_self(), shown);
}

void muninn_lower_priority(int steps) {
  /* On Linux a thread is what has a niceness, whatever POSIX says; -1 may be a value. */
  errno = 0;
  int before = getpriority(PRIO_PROCESS, 0);
  if (before == -1 && errno != 0)
    return;
  int wanted = before + steps;
  setpriority(PRIO_PROCESS, 0, wanted > 19 ? 19 : wanted);
}

int muninn_wait_until(void *condition, void *mutex, int64_t monotonic_ns) {
  struct timespec moment = {.tv_sec = monotonic_ns / nanoseconds_per_second,
                            .tv_nsec = monotonic_ns % nanoseconds_per_second};
  return pthread_cond_clockwait(condition, mutex, CLOCK_MONOTONIC, &moment);
}

int muninn_processor_count(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
    return CPU_COUNT(&set);
  long online = sysconf(_SC_NPROCESSORS_ONLN);
  return online > 0 ? (int)online : 1;
}

const char *muninn_error_name(int error) { return strerrorname_np(error); }
