// What else of the process is changed at load: one fixture each, named by FIXTURE.
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "fixture.h"

namespace {

void do_nothing(int) {}

[[maybe_unused]] void thread() {
  std::thread metrics([] { pause(); });  // made here
  pthread_setname_np(metrics.native_handle(), "metrics");
  metrics.detach();
}

[[maybe_unused]] void stdio() {
  FILE* file = fopen("fixture.stdio", "a");  // made here
  fputs("once, it is hoped\n", file);
}

[[maybe_unused]] void banner() {
  printf("the service starts\n");  // to a file: it stays in the buffer
}

[[maybe_unused]] void stream() {
  static std::ofstream file("fixture.stream", std::ios::app);  // made here
  file << "once, it is hoped\n";
}

[[maybe_unused]] void handler() {
  struct sigaction action {};
  action.sa_handler = do_nothing;
  sigaction(SIGALRM, &action, nullptr);  // made here
}

[[maybe_unused]] void mask() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);  // made here
}

[[maybe_unused]] void interval() {
  itimerval hour{};
  hour.it_value.tv_sec = 3600;
  setitimer(ITIMER_REAL, &hour, nullptr);  // made here
}

[[maybe_unused]] void posix_timer() {
  sigevent event{};
  event.sigev_notify = SIGEV_NONE;
  timer_t timer = nullptr;
  timer_create(CLOCK_MONOTONIC, &event, &timer);  // made here
}

[[maybe_unused]] void mapping() {
  mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);  // made here
}

[[maybe_unused]] void random_seed() {
  srand(42);  // made here
}

[[maybe_unused]] void random_draw() {
  [[maybe_unused]] const int drawn = rand();  // made here
}

[[maybe_unused]] void variable() {
  setenv("FIXTURE_VARIABLE", "1", 1);  // made here
}

[[maybe_unused]] void file_mask() {
  umask(077);  // made here
}

}  // namespace

void fixture::at_load() { FIXTURE(); }
