/* What the C and C++ servers of the bench have in common: one listening unix socket, several
 * processes. */
#pragma once

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* The number of a socket that listens at `path`; ends the process where that can not be had. */
static inline int listen_at(const char *path) {
  struct sockaddr_un address = {};
  int listener = socket(AF_UNIX, SOCK_STREAM, 0);

  address.sun_family = AF_UNIX;
  strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
  unlink(path);
  if (bind(listener, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
      listen(listener, 4096) != 0) {
    perror(path);
    exit(1);
  }
  return listener;
}

/* Returns in `count` processes, which end with the first and outlive clients that go away. */
static inline void be_processes(int count) {
  signal(SIGPIPE, SIG_IGN);
  for (int i = 1; i < count; ++i) {
    pid_t first = getpid();
    if (fork() == 0) {
      prctl(PR_SET_PDEATHSIG, SIGTERM);
      if (getppid() != first) {
        _exit(0);
      }
      return;
    }
  }
}

/* The number behind `prefix` in a path of `size` bytes; 0 if it has not that prefix. */
static inline unsigned long number_after(const char *prefix, const char *path, size_t size) {
  char number[16] = "";
  size_t skipped = strlen(prefix);

  if (size <= skipped || memcmp(path, prefix, skipped) != 0) {
    return 0;
  }
  size -= skipped;
  memcpy(number, path + skipped, size < sizeof(number) - 1 ? size : sizeof(number) - 1);
  return strtoul(number, NULL, 10);
}

enum { kLargest = 1 << 20 };

/* The body that a path asks for, after the sleep that it asks for. Sets its size. */
static inline const char *answer(const char *path, size_t path_size, size_t *size) {
  static char bytes[kLargest];
  unsigned long wanted = number_after("/bytes/", path, path_size);
  unsigned long sleep_ms = number_after("/sleep/", path, path_size);

  if (wanted > 0 && wanted <= kLargest) {
    if (bytes[0] == 0) {
      memset(bytes, 'x', sizeof(bytes));
    }
    *size = wanted;
    return bytes;
  }
  if (sleep_ms > 0) {
    usleep((useconds_t)sleep_ms * 1000);
  }
  *size = 6;
  return "hello\n";
}
