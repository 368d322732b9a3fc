#include "doctor/audit/snapshot.h"

#include <dirent.h>
#include <fmt/format.h>
#include <spdlog/async.h>
#include <spdlog/details/registry.h>
#include <stdio_ext.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>

// glibc's list of all its streams; it has no header.
extern "C" {
extern struct _IO_FILE* _IO_list_all;
}

namespace forktail::doctor {

namespace {

// A thread that was just joined may be in the list for a moment: it has no name by then.
std::map<pid_t, std::string> read_threads() {
  std::map<pid_t, std::string> threads;
  DIR* folder = opendir("/proc/self/task");
  if (folder == nullptr) {
    return threads;
  }
  while (const dirent* entry = readdir(folder)) {  // NOLINT(concurrency-mt-unsafe): its own folder
    const auto id = static_cast<pid_t>(std::strtol(entry->d_name, nullptr, 10));
    std::string name;
    if (id > 0 && id != gettid() &&
        std::getline(std::ifstream(fmt::format("/proc/self/task/{}/comm", id)), name)) {
      threads[id] = name;
    }
  }
  closedir(folder);
  return threads;
}

// A stream that somebody holds locked is left alone: waiting for it could be for ever.
std::map<const void*, PendingStream> read_streams() {
  std::map<const void*, PendingStream> streams;
  for (FILE* stream = _IO_list_all; stream != nullptr; stream = stream->_chain) {
    if (ftrylockfile(stream) != 0) {
      continue;
    }
    // A stream of wide characters has another buffer, and stays unknown.
    if (const std::size_t bytes = stream->_mode > 0 ? 0 : __fpending(stream); bytes > 0) {
      streams[stream] = {fileno_unlocked(stream), bytes};
    }
    funlockfile(stream);
  }
  return streams;
}

std::map<std::uintptr_t, SharedMapping> read_mappings() {
  std::map<std::uintptr_t, SharedMapping> mappings;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    std::istringstream words(line);
    std::string range;
    std::string rights;
    std::string skipped;
    words >> range >> rights;
    if (rights.size() < 4 || rights[1] != 'w' || rights[3] != 's') {
      continue;
    }
    SharedMapping mapping;
    words >> skipped >> skipped >> skipped >> std::ws;
    std::getline(words, mapping.path);
    if (mapping.path.starts_with("/dev/zero")) {
      mapping.path.clear();  // how the kernel shows an anonymous one
    }
    char* dash = nullptr;
    mapping.begin = std::strtoull(range.c_str(), &dash, 16);
    mapping.size = std::strtoull(dash + 1, nullptr, 16) - mapping.begin;
    mappings[mapping.begin] = mapping;
  }
  return mappings;
}

std::array<HandlerOf, NSIG> read_handlers() {
  std::array<HandlerOf, NSIG> handlers;
  for (int number = 1; number < NSIG; ++number) {
    struct sigaction action {};
    if (sigaction(number, nullptr, &action) == 0) {
      handlers[static_cast<std::size_t>(number)].function =
          (action.sa_flags & SA_SIGINFO) != 0 ? reinterpret_cast<void*>(action.sa_sigaction)
                                              : reinterpret_cast<void*>(action.sa_handler);
    }
  }
  return handlers;
}

std::uint64_t read_blocked() {
  sigset_t blocked;
  pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
  std::uint64_t bits = 0;
  for (int number = 1; number < NSIG; ++number) {
    if (sigismember(&blocked, number) == 1) {
      bits |= std::uint64_t{1} << (number - 1);
    }
  }
  return bits;
}

std::array<bool, 3> read_itimers() {
  std::array<bool, 3> running{};
  const std::array<__itimer_which, 3> all{ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF};
  for (std::size_t i = 0; i < all.size(); ++i) {
    itimerval value{};
    getitimer(all[i], &value);
    running[i] = value.it_value.tv_sec != 0 || value.it_value.tv_usec != 0;
  }
  return running;
}

std::vector<int> read_posix_timers() {
  std::vector<int> timers;
  std::ifstream list("/proc/self/timers");
  constexpr std::string_view kId = "ID: ";
  for (std::string line; std::getline(list, line);) {
    if (line.starts_with(kId)) {
      timers.push_back(std::atoi(line.c_str() + kId.size()));
    }
  }
  return timers;
}

std::map<std::string, std::string> read_environment() {
  std::map<std::string, std::string> variables;
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
    const std::string_view text(*variable);
    const std::size_t equals = text.find('=');
    variables[std::string(text.substr(0, equals))] =
        equals == std::string_view::npos ? "" : text.substr(equals + 1);
  }
  return variables;
}

// umask(2) can only be read by changing it, for all threads; /proc has it since Linux 4.7.
unsigned read_umask() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("Umask:")) {
      return static_cast<unsigned>(std::strtoul(line.c_str() + 6, nullptr, 8));
    }
  }
  return 0;
}

// The states of random() and rand(), which are one, and of the drand48() family. Reading is
// exchanging them for others and back.
std::string read_libc_random() {
  constexpr std::size_t kLargest = 256;  // bytes, of random()
  std::array<char, kLargest> other{};
  char* state = initstate(1, other.data(), other.size());
  setstate(state);
  // Its first word has the type of the generator, which tells how many words follow, and, since
  // the exchange, the position.
  constexpr std::array<std::size_t, 5> kWords{1, 7, 15, 31, 63};
  std::int32_t first = 0;
  std::memcpy(&first, state, sizeof(first));
  const std::size_t words = kWords[static_cast<std::size_t>(first) % kWords.size()];
  std::string states(state, (words + 1) * sizeof(std::int32_t));
  unsigned short zero[3] = {0, 0, 0};
  const unsigned short* old = seed48(zero);  // NOLINT(concurrency-mt-unsafe): the loading thread
  unsigned short kept[3] = {old[0], old[1], old[2]};
  seed48(kept);  // NOLINT(concurrency-mt-unsafe): the loading thread
  states.append(reinterpret_cast<const char*>(kept), sizeof(kept));
  return states;
}

}  // namespace

Snapshot take_snapshot() {
  Snapshot snapshot;
  snapshot.threads = read_threads();
  snapshot.files = own_files();
  snapshot.streams = read_streams();
  snapshot.mappings = read_mappings();
  snapshot.handlers = read_handlers();
  snapshot.blocked = read_blocked();
  snapshot.itimers = read_itimers();
  snapshot.posix_timers = read_posix_timers();
  snapshot.environment = read_environment();
  snapshot.umask = read_umask();
  snapshot.libc_random = read_libc_random();
  snapshot.async_logging = spdlog::details::registry::instance().get_tp() != nullptr;
  return snapshot;
}

}  // namespace forktail::doctor
