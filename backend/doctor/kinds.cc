// The vocabulary: one row a kind.
#include <array>
#include <cstddef>

#include "doctor/finding.h"

namespace forktail::doctor {

namespace {

constexpr std::array<KindFacts, static_cast<std::size_t>(Kind::count_)> kKinds{{
    {Kind::connection, "connection", true,
     "all workers write to one connection and each reads what was meant for another: answers are "
     "mixed up, TLS fails with \"bad record mac\"",
     "connect in on_worker_start(), or hold the client in a forktail::per_worker"},
    {Kind::listener, "listener", false,
     "a socket that listens is shared by all prefork servers; this one is not the server's own",
     "none is needed if the workers are to accept from it"},
    {Kind::socket, "socket", true,
     "datagrams and bytes that one worker waits for are taken by another",
     "make the socket in on_worker_start(), or hold it in a forktail::per_worker"},
    {Kind::epoll, "epoll", true,
     "one worker's events wake the others, and what one of them removes is gone for all",
     "make the event loop in on_worker_start()"},
    {Kind::eventfd, "eventfd", true, "a wake-up that one worker sends itself wakes another",
     "make it in on_worker_start()"},
    {Kind::timerfd, "timerfd", true,
     "one timer for all: each expiry is seen by one worker, and who sets it sets it for all",
     "make it in on_worker_start()"},
    {Kind::signalfd, "signalfd", true, "each process reads its own signals from it, made by chance",
     "make it in on_worker_start()"},
    {Kind::inotify, "inotify", true, "each event is read by one worker; the others never see it",
     "make the watch in on_worker_start()"},
    {Kind::descriptor, "descriptor", true, "what one worker does to it happens to all",
     "make it in on_worker_start()"},
    {Kind::pipe, "pipe", true, "what one worker writes for itself is read by another",
     "make it in on_worker_start()"},
    {Kind::terminal, "terminal", false, "the output of all workers goes to one terminal",
     "none is needed: this is so wherever a server is started by hand"},
    {Kind::file, "file", true,
     "all workers write at one position, and each moves it: who seeks, or goes on after the file "
     "was cut, overwrites what others wrote; buffered lines are torn",
     "open it with O_APPEND, or in on_worker_start() a file for each worker"},
    {Kind::reading_position, "reading_position", true,
     "a read in one worker moves the position of all: each sees parts of the file",
     "open it in on_worker_start(), or read with pread()"},
    {Kind::deleted_file, "deleted_file", true,
     "a temporary file that all workers take for their own: each overwrites the others' content",
     "make temporary files in on_worker_start(), or when they are needed"},
    {Kind::file_lock, "file_lock", true,
     "flock and OFD locks belong to the open file: every worker holds them; POSIX locks are lost "
     "by the fork: no worker holds them",
     "take the lock in on_worker_start(), on a file that was opened there"},
    {Kind::thread, "thread", true,
     "a fork copies the calling thread alone: what this one did is not done in any worker, and a "
     "lock that it held stays locked",
     "start the thread in on_worker_start()"},
    {Kind::async_logger, "async_logger", true,
     "its thread is in no worker: lines are queued and never written, and a full queue blocks the "
     "request",
     "use forktail's default logger, or make the logger in on_worker_start()"},
    {Kind::stdio, "stdio", true, "what is in the buffer is written once by each worker",
     "fflush() at the end of loading"},
    {Kind::ofstream, "ofstream", true,
     "what is in the buffer is written once by each worker; the server flushes stdio before it "
     "forks, and can not flush this",
     "std::flush at the end of loading, or open it in on_worker_start()"},
    {Kind::interval_timer, "interval_timer", true, "a fork drops interval timers: no worker has it",
     "call setitimer() in on_worker_start()"},
    {Kind::posix_timer, "posix_timer", true, "a fork drops POSIX timers: no worker has it",
     "call timer_create() in on_worker_start()"},
    {Kind::signal_handler, "signal_handler", true,
     "the server's own handler is replaced: its signals do not work any more",
     "leave the server's signals alone; for your own use on_worker_start()"},
    {Kind::signal_mask, "signal_mask", true, "the workers never see the signals that are blocked",
     "restore the mask at the end of loading"},
    {Kind::shared_mapping, "shared_mapping", false,
     "what one worker writes there all of them see: good for counters, bad for all that takes "
     "itself for its only owner",
     "if it is meant: forktail::fork_safe() says so; else map it in on_worker_start()"},
    {Kind::libc_random, "libc_random", true, "rand() gives the same numbers in every worker",
     "srand() from getrandom() in on_worker_start(), or std::random_device"},
    {Kind::environment, "environment", false, "every worker and its children inherit the change",
     "none is needed if it is meant"},
    {Kind::umask, "umask", false, "files of every worker get other permissions than configured",
     "restore it at the end of loading"},
    {Kind::counter, "counter", true,
     "each worker counts for itself from the same number: two requests get the same one",
     "use the request's id; to count for all, count in shared memory or in the database. Loading "
     "in each worker does not help"},
    {Kind::random, "random", true,
     "workers give out the same \"random\" values: tokens, ids and keys that are no secret",
     "hold the generator in a forktail::per_worker, or draw from the kernel (getrandom)"},
    {Kind::address, "address", true,
     "the address of what was made before the fork is the same in every worker: it tells nobody "
     "apart",
     "use the request's id, or the worker's number, to tell one from the other"},
    {Kind::load_time, "load_time", true,
     "the time of loading is the same in every worker: it tells nobody apart",
     "use the request's id; a time of start that is to be a worker's own is taken in "
     "on_worker_start()"},
    {Kind::load_value, "load_value", false,
     "made once, at the load: right for what all workers are to share (a secret that signs), wrong "
     "for what is to tell them apart",
     "if it is to tell workers apart: make it in on_worker_start(), or use the request's id"},
}};

// A row in the wrong place would give a kind another's words.
constexpr bool in_order() {
  for (std::size_t i = 0; i < kKinds.size(); ++i) {
    if (static_cast<std::size_t>(kKinds[i].kind) != i) {
      return false;
    }
  }
  return true;
}
static_assert(in_order());

}  // namespace

const KindFacts& facts_of(Kind kind) { return kKinds[static_cast<std::size_t>(kind)]; }

}  // namespace forktail::doctor
