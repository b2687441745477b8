/* System calls that Swift cannot reach by itself: variadic ones (ioctl, openat with a mode), ones
 * whose structures or constants the importer does not see (statx, getdents64, FIEMAP), and macros.
 *
 * Unless it says otherwise a function returns 0 or a count, or -errno. None retries
 * or keeps state; `directory` is a descriptor or AT_FDCWD; names end with NUL. */
#ifndef CMUNINNSYSTEM_H
#define CMUNINNSYSTEM_H

#include <stddef.h>
#include <stdint.h>

/* Open flags by value: the importer drops those that glibc hides behind _GNU_SOURCE. */
enum muninn_open_flag {
  muninn_open_path = 1,
  muninn_open_noatime = 2,
  muninn_open_temporary = 4,
  muninn_open_direct = 8,
};

/* The kinds of FileStatus.Kind, same numbers; 0 is unknown. */
struct muninn_status {
  uint64_t size;
  uint64_t blocks512;
  uint64_t inode;
  uint64_t attributes;
  uint64_t mount_id;
  int64_t modified_ns;
  int64_t changed_ns;
  int64_t accessed_ns;
  int64_t birth_ns;
  uint32_t user_id;
  uint32_t group_id;
  uint32_t link_count;
  uint32_t device_major;
  uint32_t device_minor;
  uint32_t rdev_major;
  uint32_t rdev_minor;
  uint16_t mode;
  uint8_t kind;
  uint8_t has_birth;
};

/* statx of `name`, never following a final symlink and never mounting; with name "" of the
 * descriptor itself. Times outside the range of 64-bit nanoseconds saturate. */
int muninn_status_at(int directory, const char *_Nonnull name,
                     struct muninn_status *_Nonnull status);

/* openat with O_CLOEXEC; `extra` is a sum of muninn_open_flag. Returns the descriptor. */
int muninn_open_at(int directory, const char *_Nonnull name, int flags, int extra, unsigned mode);

/* One getdents64. Returns the number of bytes, 0 at the end. */
ptrdiff_t muninn_read_directory(int directory, void *_Nonnull buffer, size_t capacity);

struct muninn_directory_entry {
  uint64_t inode;
  size_t name_offset; /* from the start of the buffer; NUL follows the name */
  size_t name_length;
  uint8_t kind;
};

/* Decodes the record at `offset` of what muninn_read_directory gave. Returns the offset of the next
 * record, or 0 where the record is damaged. */
size_t muninn_directory_entry_at(const void *_Nonnull buffer, size_t length, size_t offset,
                                 struct muninn_directory_entry *_Nonnull entry);

/* `kind` as in FileStatus.Kind: fifo, socket, character or block device. */
int muninn_make_node(int directory, const char *_Nonnull name, int kind, unsigned mode,
                     uint32_t device_major, uint32_t device_minor);

/* Extended attributes of a name below a directory (a symlink itself is meant, never its target), or
 * with `name` NULL of the open file `directory`. */
ptrdiff_t muninn_list_xattr_at(int directory, const char *_Nullable name, char *_Nullable list,
                               size_t capacity);
ptrdiff_t muninn_get_xattr_at(int directory, const char *_Nullable name,
                              const char *_Nonnull attribute, void *_Nullable value,
                              size_t capacity);
int muninn_set_xattr_at(int directory, const char *_Nullable name, const char *_Nonnull attribute,
                        const void *_Nullable value, size_t size);
int muninn_remove_xattr_at(int directory, const char *_Nullable name,
                           const char *_Nonnull attribute);

/* The FS_*_FL flags of chattr(1). */
int muninn_get_flags(int descriptor, uint32_t *_Nonnull flags);
int muninn_set_flags(int descriptor, uint32_t flags);

/* The number of contiguous runs that the file lies in on disk, as filefrag(8) counts them. Content
 * whose place is not decided yet (delayed allocation) lies nowhere: sync it first. */
int muninn_extent_count(int descriptor, uint64_t *_Nonnull count);

/* syncfs: everything of the descriptor's file system. */
int muninn_sync_file_system(int descriptor);

/* Lets the page cache forget the file's clean pages, so that the next read comes from the disk. */
int muninn_forget_pages(int descriptor);

/* The magic number of the descriptor's file system, statfs(2). */
int muninn_file_system_type(int descriptor, uint64_t *_Nonnull type);

/* How many pages of a range of an open file are in the page cache: cachestat(2), or where there is
 * none mincore(2), which tells the file's owner alone and calls all pages cached for others. A
 * count of 0 bytes means to the end of the file. Returns -errno where the system does not say. */
int muninn_cached_pages(int descriptor, uint64_t offset, uint64_t count,
                        uint64_t *_Nonnull pages);

/* Gives clean pages of a range back: posix_fadvise(POSIX_FADV_DONTNEED). */
int muninn_drop_pages(int descriptor, int64_t offset, int64_t count);

/* A pipe whose ends close when a program is executed. */
int muninn_make_pipe(int *_Nonnull read_end, int *_Nonnull write_end);

/* Starts the program arguments[0], looked up in PATH, with default signal handling and only the
 * three standard descriptors: nothing to read, `output` as standard output (standard error where it
 * is negative), and this process's standard error. `environment` are NAME=VALUE texts that replace
 * those of this process; both lists end with NULL. */
int muninn_spawn(const char *_Nullable const *_Nonnull arguments,
                 const char *_Nullable const *_Nonnull environment, int output,
                 int *_Nonnull process);

/* waitpid. Without `blocking` returns 0 while the process runs. Returns the process once it has
 * ended, with its exit status, or 128 and the signal's number. */
int muninn_wait_for(int process, int blocking, int *_Nonnull status);

/* Waits up to `milliseconds` until there is something to read, or the end: 1, else 0. */
int muninn_wait_readable(int descriptor, int milliseconds);

/* CPU time of the calling thread in nanoseconds. */
uint64_t muninn_thread_cpu_time(void);

/* The soft limit of open descriptors. */
uint64_t muninn_open_file_limit(void);

/* Has the kernel make room for descriptors below `count` in the process's table. Where it cannot,
 * nothing changes. */
void muninn_grow_descriptor_table(int count);

/* Blocks of memory from `threshold` bytes on go back to the system as soon as they are freed,
 * and at most `arenas` heaps are made for threads from then on. Does nothing where the C library
 * is another one than glibc. */
void muninn_return_memory(int threshold, int arenas);

/* fallocate; keeps the visible size where `keep_size`. */
int muninn_allocate(int descriptor, int keep_size, int64_t offset, int64_t count);

/* Gives the range's blocks back; it reads as zeros then. */
int muninn_punch_hole(int descriptor, int64_t offset, int64_t count);

/* Turns O_DIRECT of an open file on or off. */
int muninn_set_direct(int descriptor, int direct);

/* Starts writing a range back without waiting for it. */
int muninn_start_write_back(int descriptor, int64_t offset, int64_t count);

/* SEEK_DATA and SEEK_HOLE. Return the offset or -errno. */
int64_t muninn_seek_data(int descriptor, int64_t offset);
int64_t muninn_seek_hole(int descriptor, int64_t offset);

/* Gives an open nameless file (O_TMPFILE) a name, through /proc. */
int muninn_link_descriptor(int descriptor, int directory, const char *_Nonnull name);

/* renameat2 with RENAME_NOREPLACE. */
int muninn_rename_no_replace(int from_directory, const char *_Nonnull from, int to_directory,
                             const char *_Nonnull to);

/* Sets both times, without following a symlink; `name` NULL means the descriptor itself. A time
 * whose `keep` is set stays as it is. */
int muninn_set_times(int directory, const char *_Nullable name, int64_t accessed_ns,
                     int keep_accessed, int64_t modified_ns, int keep_modified);

/* Bytes from the kernel's generator; may give fewer than asked for. */
ptrdiff_t muninn_random(void *_Nonnull buffer, size_t count);

/* Starts a joinable thread; `thread` gets what muninn_join_thread and muninn_detach_thread take. */
int muninn_start_thread(uintptr_t *_Nonnull thread, size_t stack_size,
                        void (*_Nonnull body)(void *_Nonnull), void *_Nonnull argument);
void muninn_join_thread(uintptr_t thread);
void muninn_detach_thread(uintptr_t thread);

/* Names the calling thread; the system keeps 15 bytes. */
void muninn_name_thread(const char *_Nonnull name);

/* Makes the calling thread, and those that it starts from then on, nicer by `steps`, up to 19. */
void muninn_lower_priority(int steps);

/* pthread_cond_clockwait on the monotonic clock: returns an error number, ETIMEDOUT once the moment
 * has come. The pointers are a pthread_cond_t and a locked pthread_mutex_t. */
int muninn_wait_until(void *_Nonnull condition, void *_Nonnull mutex, int64_t monotonic_ns);

/* The processors that this process may run on. */
int muninn_processor_count(void);

/* "ENOSPC" for ENOSPC; NULL for a number without a name. */
const char *_Nullable muninn_error_name(int error);

#endif
