/* Programs that are started and waited for, limits and times of this process. */
#define _GNU_SOURCE
#include "CMuninnSystem.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int muninn_make_pipe(int *read_end, int *write_end) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0)
    return -errno;
  *read_end = ends[0];
  *write_end = ends[1];
  return 0;
}

static int is_replaced(const char *variable, const char *const *replacements) {
  size_t name = strcspn(variable, "=");
  for (; *replacements != NULL; replacements++)
    if (strncmp(*replacements, variable, name) == 0 && (*replacements)[name] == '=')
      return 1;
  return 0;
}

/* The process's environment with some variables replaced; NULL without memory. */
static char **environment_with(const char *const *replacements) {
  size_t count = 1;
  for (char **variable = environ; variable != NULL && *variable != NULL; variable++)
    count++;
  for (const char *const *variable = replacements; *variable != NULL; variable++)
    count++;
  char **all = malloc(count * sizeof *all);
  if (all == NULL)
    return NULL;
  size_t at = 0;
  for (char **variable = environ; variable != NULL && *variable != NULL; variable++)
    if (!is_replaced(*variable, replacements))
      all[at++] = *variable;
  for (const char *const *variable = replacements; *variable != NULL; variable++)
    all[at++] = (char *)*variable;
  all[at] = NULL;
  return all;
}

int muninn_spawn(const char *const *arguments, const char *const *environment, int output,
                 int *process) {
  char **all = environment_with(environment);
  if (all == NULL)
    return -ENOMEM;
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  int error = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  if (error == 0)
    error = posix_spawn_file_actions_adddup2(&actions, output < 0 ? 2 : output, 1);
  sigset_t defaults, none;
  sigemptyset(&none);
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGINT);
  sigaddset(&defaults, SIGTERM);
  sigaddset(&defaults, SIGPIPE);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  pid_t child = 0;
  if (error == 0)
    error = posix_spawnp(&child, arguments[0], &actions, &attributes, (char *const *)arguments,
                         all);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  free(all);
  *process = child;
  return -error;
}

int muninn_wait_for(int process, int blocking, int *status) {
  int raw = 0;
  pid_t ended = waitpid(process, &raw, blocking ? 0 : WNOHANG);
  if (ended < 0)
    return -errno;
  *status = WIFEXITED(raw) ? WEXITSTATUS(raw) : WIFSIGNALED(raw) ? 128 + WTERMSIG(raw) : 255;
  return ended;
}

int muninn_wait_readable(int descriptor, int milliseconds) {
  struct pollfd wanted = {.fd = descriptor, .events = POLLIN};
  int returned = poll(&wanted, 1, milliseconds);
  return returned < 0 ? -errno : returned > 0;
}

uint64_t muninn_thread_cpu_time(void) {
  struct timespec time;
  if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time) != 0)
    return 0;
  return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

uint64_t muninn_open_file_limit(void) {
  struct rlimit limit;
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? (uint64_t)limit.rlim_cur : 1024;
}

void muninn_grow_descriptor_table(int count) {
  int first = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (first < 0)
    return;
  int last = fcntl(first, F_DUPFD_CLOEXEC, count - 1);
  if (last >= 0)
    close(last);
  close(first);
}

void muninn_return_memory(int threshold, int arenas) {
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, threshold);
  mallopt(M_ARENA_MAX, arenas);
#else
  (void)threshold;
  (void)arenas;
#endif
}
