// Applications that a fork does no harm to: one fixture each, named by FIXTURE. Each does what a
// careless look would take for a trap.
#include <fcntl.h>
#include <forktail/per_worker.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <memory>
#include <random>
#include <thread>

#include "fixture.h"

namespace {

using std::to_string;

struct Nothing {
  static void at_load() {}
  static void at_worker_start() {}
};

// All that must not be shared is made anew in each process.
struct PerWorker : Nothing {
  static std::string answer() {
    static forktail::per_worker<std::mt19937_64> generator{
        [] { return std::mt19937_64(std::random_device{}()); }};
    static forktail::per_worker<std::ofstream> log{
        [] { return std::ofstream("fixture." + to_string(getpid())); }};
    *log << "one request\n";
    return to_string((*generator)()) + "\n";
  }
};

// Sources of random numbers that know about forks, or come from the kernel; one is drawn at load.
struct Randomness : Nothing {
  static void at_load() { answer(); }
  static std::string answer() {
    std::uint64_t numbers[3] = {};
    RAND_bytes(reinterpret_cast<unsigned char*>(&numbers[0]), sizeof(numbers[0]));
    [[maybe_unused]] const ssize_t got = getrandom(&numbers[1], sizeof(numbers[1]), 0);
    numbers[2] = std::random_device{}();
    return to_string(numbers[0]) + " " + to_string(numbers[1]) + " " + to_string(numbers[2]) + "\n";
  }
};

// The time of day in many forms, and times that were measured.
struct RealTime : Nothing {
  static std::string answer() {
    const auto began = std::chrono::steady_clock::now();
    const time_t now = time(nullptr);
    char text[200];
    std::tm parts{};
    gmtime_r(&now, &parts);
    const std::size_t size = strftime(text, sizeof(text), "%FT%TZ %c %H:%M", &parts);
    timespec precise{};
    clock_gettime(CLOCK_REALTIME, &precise);
    const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - began;
    return std::string(text, size) + " " + to_string(precise.tv_sec) + "." +
           to_string(precise.tv_nsec) + " took " + to_string(took.count()) + " us, " +
           to_string(static_cast<int>(took.count())) + "\n";
  }
};

// Read-only data, a TLS context, a log that is appended to: shared, and rightly so.
struct SharedOnPurpose : Nothing {
  static void at_load() {
    static const int data = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    mmap(nullptr, 4096, PROT_READ, MAP_SHARED, data, 0);
    static SSL_CTX* context = SSL_CTX_new(TLS_client_method());
    static const int log = open("fixture.log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    dprintf(log, "loaded\n");
    std::cout << "loaded" << std::endl;
    static_cast<void>(context);
  }
  static std::string answer() { return "version 1.2.3, build 20260101, code 0x1f40\n"; }
};

// The traps, but in on_worker_start().
struct InTheWorker : Nothing {
  static void at_worker_start() {
    std::thread([] { pause(); }).detach();
    epoll_create1(EPOLL_CLOEXEC);
    eventfd(0, EFD_CLOEXEC);
    signal(SIGALRM, [](int) {});
    itimerval hour{};
    hour.it_value.tv_sec = 3600;
    setitimer(ITIMER_REAL, &hour, nullptr);
    static std::ofstream log("fixture." + to_string(getpid()));
    log << "started\n";
    srand(static_cast<unsigned>(getpid()));
  }
  static std::string answer() { return to_string(rand()) + "\n"; }
};

// The traps at load, and all of them mended by the end of it.
struct Tidy : Nothing {
  static void at_load() {
    std::thread([] {}).join();
    close(epoll_create1(EPOLL_CLOEXEC));
    close(socket(AF_INET, SOCK_STREAM, 0));
    timer_t timer = nullptr;
    sigevent none{};
    none.sigev_notify = SIGEV_NONE;
    timer_create(CLOCK_MONOTONIC, &none, &timer);
    timer_delete(timer);
    { std::ofstream("fixture.once") << "written\n"; }
    std::ofstream("fixture.flushed", std::ios::app) << "written\n" << std::flush;
    FILE* file = fopen("fixture.closed", "w");
    fputs("written\n", file);
    fclose(file);
    printf("loaded\n");
    fflush(stdout);
    const mode_t before = umask(077);
    umask(before);
    setenv("FIXTURE_ONCE", "1", 1);
    unsetenv("FIXTURE_ONCE");
  }
  static std::string answer() {
    return "pid " + to_string(getpid()) + " thread " + to_string(gettid()) + "\n";
  }
};

}  // namespace

void fixture::at_load() { FIXTURE::at_load(); }
void fixture::at_worker_start() { FIXTURE::at_worker_start(); }
std::string fixture::answer() { return FIXTURE::answer(); }
