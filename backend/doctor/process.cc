#include "doctor/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <map>
#include <memory>
#include <sstream>

namespace forktail::doctor {

namespace {

double seconds_of(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// The names in a folder that are numbers.
std::vector<pid_t> numbers_in(const std::string& folder) {
  std::vector<pid_t> numbers;
  const std::unique_ptr<DIR, int (*)(DIR*)> open(opendir(folder.c_str()), closedir);
  // No other thread reads this folder: readdir() is safe.
  for (const dirent* entry = nullptr;
       open && (entry = readdir(open.get())) != nullptr;) {  // NOLINT(concurrency-mt-unsafe)
    const std::string_view name = entry->d_name;
    pid_t number = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (error == std::errc() && end == name.data() + name.size()) {
      numbers.push_back(number);
    }
  }
  return numbers;
}

std::string without_end(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\0' || text.back() == ' ')) {
    text.pop_back();
  }
  return text;
}

}  // namespace

double seconds_now() { return seconds_of(CLOCK_REALTIME); }

bool waits_for_events(pid_t pid) {
#ifdef SYS_epoll_wait  // newer processors have none of the old calls
  constexpr std::array<long, 9> kCalls{SYS_epoll_wait, SYS_epoll_pwait, SYS_epoll_pwait2,
                                       SYS_poll,       SYS_ppoll,       SYS_select,
                                       SYS_pselect6,   SYS_accept,      SYS_accept4};
#else
  constexpr std::array<long, 6> kCalls{SYS_epoll_pwait, SYS_epoll_pwait2, SYS_ppoll,
                                       SYS_pselect6,    SYS_accept,       SYS_accept4};
#endif
  std::vector<Task> tasks = other_threads(pid);
  tasks.push_back({pid, {}, {}});
  return std::any_of(tasks.begin(), tasks.end(), [&](const Task& task) {
    const std::string call = read_whole(fmt::format("/proc/{}/task/{}/syscall", pid, task.tid));
    char* end = nullptr;
    const long number = std::strtol(call.c_str(), &end, 10);
    return end != call.c_str() && std::find(kCalls.begin(), kCalls.end(), number) != kCalls.end();
  });
}

std::string read_whole(const std::string& path) {
  constexpr std::size_t kMost = std::size_t{16} << 20;
  std::string text;
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) {
    return text;
  }
  std::array<char, 65536> part{};
  for (ssize_t size = 0;
       text.size() < kMost && (size = read(file, part.data(), part.size())) > 0;) {
    text.append(part.data(), static_cast<std::size_t>(size));
  }
  close(file);
  return text;
}

std::optional<Process> read_process(pid_t pid) {
  const std::string folder = fmt::format("/proc/{}", pid);
  const std::string stat_line = read_whole(folder + "/stat");
  const std::size_t name_begin = stat_line.find('(');
  const std::size_t name_end = stat_line.rfind(')');  // the name may hold any character
  if (name_begin == std::string::npos || name_end == std::string::npos) {
    return std::nullopt;
  }
  Process process;
  process.pid = pid;
  process.name = stat_line.substr(name_begin + 1, name_end - name_begin - 1);
  std::istringstream fields(stat_line.substr(name_end + 1));
  fields >> process.state >> process.parent;
  std::string field;
  // Of proc(5) the third and fourth have been read; the 22nd is the start, in ticks since boot.
  for (int i = 5; i <= 22; ++i) {
    fields >> field;
  }
  const double ticks = static_cast<double>(std::atoll(field.c_str()));
  const double since_boot = ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
  process.started = seconds_now() - seconds_of(CLOCK_BOOTTIME) + since_boot;
  process.command = read_whole(folder + "/cmdline");
  std::replace(process.command.begin(), process.command.end(), '\0', ' ');
  process.command = without_end(std::move(process.command));
  struct stat status {};
  if (stat((folder + "/exe").c_str(), &status) == 0) {
    process.program = fmt::format("{}:{}", status.st_dev, status.st_ino);
  }
  return process;
}

std::vector<pid_t> all_pids() { return numbers_in("/proc"); }

std::vector<Process> descendants_of(pid_t pid) {
  std::multimap<pid_t, Process> by_parent;
  for (const pid_t other : all_pids()) {
    if (auto process = read_process(other); process && process->state != 'Z') {
      by_parent.emplace(process->parent, std::move(*process));
    }
  }
  std::vector<Process> found;
  std::vector<pid_t> parents{pid};
  // Each process has one parent, so none is met twice.
  for (std::size_t i = 0; i < parents.size(); ++i) {
    const auto [first, last] = by_parent.equal_range(parents[i]);
    for (auto child = first; child != last; ++child) {
      parents.push_back(child->first == child->second.pid ? 0 : child->second.pid);
      found.push_back(child->second);
    }
  }
  std::sort(found.begin(), found.end(),
            [](const Process& a, const Process& b) { return a.pid < b.pid; });
  std::stable_sort(found.begin(), found.end(),
                   [](const Process& a, const Process& b) { return a.started + 0.02 < b.started; });
  return found;
}

bool descends_from(pid_t pid, pid_t ancestor) {
  constexpr int kDeepest = 64;
  for (int i = 0; i < kDeepest && pid > 0; ++i) {
    if (pid == ancestor) {
      return true;
    }
    const auto process = read_process(pid);
    pid = process ? process->parent : 0;
  }
  return false;
}

std::vector<Task> other_threads(pid_t pid) {
  std::vector<Task> threads;
  const std::string folder = fmt::format("/proc/{}/task", pid);
  for (const pid_t tid : numbers_in(folder)) {
    if (tid != pid) {
      const std::string own = fmt::format("{}/{}", folder, tid);
      std::string waits_in = read_whole(own + "/wchan");
      threads.push_back({tid, without_end(read_whole(own + "/comm")),
                         waits_in == "0" ? std::string() : std::move(waits_in)});
    }
  }
  return threads;
}

bool program_holds(pid_t pid, std::string_view text) {
  constexpr std::size_t kMost = std::size_t{64} << 20;
  const int file = open(fmt::format("/proc/{}/exe", pid).c_str(), O_RDONLY | O_CLOEXEC);
  struct stat status {};
  if (file < 0 || fstat(file, &status) != 0 || status.st_size <= 0) {
    close(file);
    return false;
  }
  const std::size_t size = std::min(static_cast<std::size_t>(status.st_size), kMost);
  void* mapped = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0);
  close(file);
  if (mapped == MAP_FAILED) {
    return false;
  }
  const bool found =
      std::string_view(static_cast<const char*>(mapped), size).find(text) != std::string_view::npos;
  munmap(mapped, size);
  return found;
}

std::string name_of(pid_t pid) {
  const std::string name = without_end(read_whole(fmt::format("/proc/{}/comm", pid)));
  return name.empty() ? fmt::format("pid {}", pid) : fmt::format("{} (pid {})", name, pid);
}

}  // namespace forktail::doctor
