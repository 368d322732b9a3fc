// In front of the calls that make descriptors.
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>

#include "doctor/audit/preload/record.h"

namespace {

using forktail::doctor::Made;

// A macro, so that the frames between the caller and note() are always the same.
#define NOTED(call)                                                         \
  do {                                                                      \
    const int made_descriptor = (call);                                     \
    if (made_descriptor >= 0) {                                             \
      ::forktail::doctor::preload::note(Made::descriptor, made_descriptor); \
    }                                                                       \
    return made_descriptor;                                                 \
  } while (false)

// The same for a stream.
#define NOTED_FILE(call)                                                      \
  do {                                                                        \
    FILE* const made_file = (call);                                           \
    if (made_file != nullptr && fileno(made_file) >= 0) {                     \
      ::forktail::doctor::preload::note(Made::descriptor, fileno(made_file)); \
    }                                                                         \
    return made_file;                                                         \
  } while (false)

bool takes_mode(int flags) { return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE; }

// The mode of a file that is perhaps made: the argument behind `last`.
#define MODE_BEHIND(last, flags) \
  mode_t mode = 0;               \
  if (takes_mode(flags)) {       \
    va_list rest;                \
    va_start(rest, last);        \
    mode = va_arg(rest, mode_t); \
    va_end(rest);                \
  }

}  // namespace

FORKTAIL_EXPORT int socket(int domain, int type, int protocol) noexcept {
  FORKTAIL_REAL(socket);
  NOTED(real(domain, type, protocol));
}

FORKTAIL_EXPORT int socketpair(int domain, int type, int protocol, int pair[2]) noexcept {
  FORKTAIL_REAL(socketpair);
  const int result = real(domain, type, protocol, pair);
  if (result == 0) {
    forktail::doctor::preload::note(Made::descriptor, pair[0]);
    forktail::doctor::preload::note(Made::descriptor, pair[1]);
  }
  return result;
}

// Who connects a socket is worth more than who made it.
FORKTAIL_EXPORT int connect(int descriptor, const sockaddr* address, socklen_t size) {
  FORKTAIL_REAL(connect);
  const int result = real(descriptor, address, size);
  forktail::doctor::preload::note(Made::descriptor, descriptor);
  return result;
}

FORKTAIL_EXPORT int accept(int descriptor, sockaddr* address, socklen_t* size) {
  FORKTAIL_REAL(accept);
  NOTED(real(descriptor, address, size));
}

FORKTAIL_EXPORT int accept4(int descriptor, sockaddr* address, socklen_t* size, int flags) {
  FORKTAIL_REAL(accept4);
  NOTED(real(descriptor, address, size, flags));
}

FORKTAIL_EXPORT int epoll_create(int size) noexcept {
  FORKTAIL_REAL(epoll_create);
  NOTED(real(size));
}

FORKTAIL_EXPORT int epoll_create1(int flags) noexcept {
  FORKTAIL_REAL(epoll_create1);
  NOTED(real(flags));
}

FORKTAIL_EXPORT int eventfd(unsigned count, int flags) noexcept {
  FORKTAIL_REAL(eventfd);
  NOTED(real(count, flags));
}

FORKTAIL_EXPORT int timerfd_create(clockid_t clock, int flags) noexcept {
  FORKTAIL_REAL(timerfd_create);
  NOTED(real(clock, flags));
}

FORKTAIL_EXPORT int signalfd(int descriptor, const sigset_t* mask, int flags) noexcept {
  FORKTAIL_REAL(signalfd);
  NOTED(real(descriptor, mask, flags));
}

FORKTAIL_EXPORT int inotify_init() noexcept {
  FORKTAIL_REAL(inotify_init);
  NOTED(real());
}

FORKTAIL_EXPORT int inotify_init1(int flags) noexcept {
  FORKTAIL_REAL(inotify_init1);
  NOTED(real(flags));
}

FORKTAIL_EXPORT int memfd_create(const char* name, unsigned flags) noexcept {
  FORKTAIL_REAL(memfd_create);
  NOTED(real(name, flags));
}

FORKTAIL_EXPORT int shm_open(const char* name, int flags, mode_t mode) {
  FORKTAIL_REAL(shm_open);
  NOTED(real(name, flags, mode));
}

FORKTAIL_EXPORT int pipe(int pair[2]) noexcept {
  FORKTAIL_REAL(pipe);
  const int result = real(pair);
  if (result == 0) {
    forktail::doctor::preload::note(Made::descriptor, pair[0]);
    forktail::doctor::preload::note(Made::descriptor, pair[1]);
  }
  return result;
}

FORKTAIL_EXPORT int pipe2(int pair[2], int flags) noexcept {
  FORKTAIL_REAL(pipe2);
  const int result = real(pair, flags);
  if (result == 0) {
    forktail::doctor::preload::note(Made::descriptor, pair[0]);
    forktail::doctor::preload::note(Made::descriptor, pair[1]);
  }
  return result;
}

FORKTAIL_EXPORT int dup(int descriptor) noexcept {
  FORKTAIL_REAL(dup);
  NOTED(real(descriptor));
}

FORKTAIL_EXPORT int dup2(int from, int to) noexcept {
  FORKTAIL_REAL(dup2);
  NOTED(real(from, to));
}

FORKTAIL_EXPORT int dup3(int from, int to, int flags) noexcept {
  FORKTAIL_REAL(dup3);
  NOTED(real(from, to, flags));
}

FORKTAIL_EXPORT int close(int descriptor) {
  FORKTAIL_REAL(close);
  forktail::doctor::preload::forget(Made::descriptor, descriptor);
  return real(descriptor);
}

FORKTAIL_EXPORT int open(const char* path, int flags, ...) {
  FORKTAIL_REAL(open);
  MODE_BEHIND(flags, flags)
  NOTED(real(path, flags, mode));
}

FORKTAIL_EXPORT int open64(const char* path, int flags, ...) {
  FORKTAIL_REAL(open64);
  MODE_BEHIND(flags, flags)
  NOTED(real(path, flags, mode));
}

FORKTAIL_EXPORT int openat(int folder, const char* path, int flags, ...) {
  FORKTAIL_REAL(openat);
  MODE_BEHIND(flags, flags)
  NOTED(real(folder, path, flags, mode));
}

FORKTAIL_EXPORT int openat64(int folder, const char* path, int flags, ...) {
  FORKTAIL_REAL(openat64);
  MODE_BEHIND(flags, flags)
  NOTED(real(folder, path, flags, mode));
}

FORKTAIL_EXPORT int creat(const char* path, mode_t mode) {
  FORKTAIL_REAL(creat);
  NOTED(real(path, mode));
}

FORKTAIL_EXPORT int mkstemp(char* pattern) {
  FORKTAIL_REAL(mkstemp);
  NOTED(real(pattern));
}

FORKTAIL_EXPORT int mkstemp64(char* pattern) {
  FORKTAIL_REAL(mkstemp64);
  NOTED(real(pattern));
}

FORKTAIL_EXPORT int mkostemp(char* pattern, int flags) {
  FORKTAIL_REAL(mkostemp);
  NOTED(real(pattern, flags));
}

FORKTAIL_EXPORT int mkstemps(char* pattern, int suffix) {
  FORKTAIL_REAL(mkstemps);
  NOTED(real(pattern, suffix));
}

FORKTAIL_EXPORT FILE* fopen(const char* path, const char* mode) {
  FORKTAIL_REAL(fopen);
  NOTED_FILE(real(path, mode));
}

FORKTAIL_EXPORT FILE* fopen64(const char* path, const char* mode) {
  FORKTAIL_REAL(fopen64);
  NOTED_FILE(real(path, mode));
}

FORKTAIL_EXPORT FILE* freopen(const char* path, const char* mode, FILE* file) {
  FORKTAIL_REAL(freopen);
  NOTED_FILE(real(path, mode, file));
}

FORKTAIL_EXPORT FILE* tmpfile() {
  FORKTAIL_REAL(tmpfile);
  NOTED_FILE(real());
}

FORKTAIL_EXPORT FILE* tmpfile64() {
  FORKTAIL_REAL(tmpfile64);
  NOTED_FILE(real());
}

FORKTAIL_EXPORT FILE* popen(const char* command, const char* mode) {
  FORKTAIL_REAL(popen);
  NOTED_FILE(real(command, mode));
}
