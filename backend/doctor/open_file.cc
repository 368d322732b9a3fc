#include "doctor/open_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/kcmp.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <memory>
#include <optional>
#include <sstream>
#include <system_error>

#include "doctor/process.h"

namespace forktail::doctor {

namespace {

constexpr std::string_view kDeleted = " (deleted)";

struct Held {
  pid_t pid;
  int descriptor;
};

// 0 the same, above 0 another, below 0 an error in errno.
long compare(const Held& one, const Held& other) {
  return syscall(SYS_kcmp, one.pid, other.pid, KCMP_FILE,
                 static_cast<unsigned long>(one.descriptor),
                 static_cast<unsigned long>(other.descriptor));
}

std::string link_of(const Held& held) {
  std::array<char, 4096> text{};
  const ssize_t size = readlink(fmt::format("/proc/{}/fd/{}", held.pid, held.descriptor).c_str(),
                                text.data(), text.size());
  return size > 0 ? std::string(text.data(), static_cast<std::size_t>(size)) : std::string();
}

// Nothing when the process may not be looked at; errno says why.
std::optional<std::vector<int>> descriptors_of(pid_t pid) {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir(fmt::format("/proc/{}/fd", pid).c_str()),
                                                   closedir);
  if (!folder) {
    return std::nullopt;
  }
  std::vector<int> descriptors;
  // No other thread reads this folder: readdir() is safe.
  for (const dirent* entry = nullptr;
       (entry = readdir(folder.get())) != nullptr;) {  // NOLINT(concurrency-mt-unsafe)
    const std::string_view name = entry->d_name;
    int number = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), number).ec == std::errc()) {
      descriptors.push_back(number);
    }
  }
  std::sort(descriptors.begin(), descriptors.end());
  return descriptors;
}

void read_details(OpenFile& file, const Held& held) {
  struct stat status {};
  const std::string own = fmt::format("/proc/{}/fd", held.pid);
  if (stat(fmt::format("{}/{}", own, held.descriptor).c_str(), &status) == 0) {
    file.mode = status.st_mode;
    file.inode = status.st_ino;
  }
  std::istringstream lines(read_whole(fmt::format("{}info/{}", own, held.descriptor)));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string name;
    words >> name;
    if (name == "pos:") {
      words >> file.position;
    } else if (name == "flags:") {
      words >> std::oct >> file.flags;
    } else if (name == "lock:") {
      file.locks.push_back(line.substr(name.size()));
    }
  }
}

std::string refusal(pid_t pid, int error) {
  return fmt::format("{}: {}", name_of(pid), std::generic_category().message(error));
}

class Collection {
 public:
  void add(const Held& held) {
    const std::string link = link_of(held);
    if (link.empty()) {
      return;  // closed meanwhile
    }
    std::vector<std::size_t>& alike = by_link_[link];
    bool known = false;
    const std::size_t place = place_among(alike, held, known);
    if (known) {
      result_.files[alike[place]].holders[held.pid].push_back(held.descriptor);
      return;
    }
    alike.insert(alike.begin() + static_cast<std::ptrdiff_t>(place), result_.files.size());
    OpenFile& file = result_.files.emplace_back();
    file.link = link;
    file.holders[held.pid] = {held.descriptor};
    read_details(file, held);
  }

  void add(pid_t pid) {
    const auto descriptors = descriptors_of(pid);
    if (!descriptors) {
      if (errno != ENOENT && errno != ESRCH) {
        result_.refused[pid] = refusal(pid, errno);
      }
      return;
    }
    for (const int descriptor : *descriptors) {
      add(Held{pid, descriptor});
    }
  }

  OpenFiles take() { return std::move(result_); }

 private:
  long compare_with(std::size_t index, const Held& held) const {
    const auto& [pid, numbers] = *result_.files[index].holders.begin();
    return compare({pid, numbers.front()}, held);
  }

  // Where it stands among those with the same link, or would stand: they are in the kernel's order,
  // which kcmp(2) tells, so that thousands of them are no matter.
  std::size_t place_among(const std::vector<std::size_t>& alike, const Held& held, bool& known) {
    constexpr long kLess = 1;
    constexpr long kGreater = 2;
    std::size_t low = 0;
    std::size_t high = alike.size();
    while (low < high) {
      const std::size_t middle = low + (high - low) / 2;
      const long difference = compare_with(alike[middle], held);
      known = difference == 0;
      if (difference == kLess) {
        low = middle + 1;
      } else if (difference == kGreater) {
        high = middle;
      } else {
        return known ? middle : search_all(alike, held, known);
      }
    }
    return low;
  }

  // One of them was closed meanwhile, may not be looked at, or the kernel tells no order.
  std::size_t search_all(const std::vector<std::size_t>& alike, const Held& held, bool& known) {
    for (std::size_t i = 0; i < alike.size(); ++i) {
      const long difference = compare_with(alike[i], held);
      if (difference == 0) {
        known = true;
        return i;
      }
      if (difference < 0 && errno != ESRCH && errno != EBADF) {
        result_.refused[held.pid] = "kcmp(2) of " + refusal(held.pid, errno);
      }
    }
    return alike.size();
  }

  OpenFiles result_;
  std::map<std::string, std::vector<std::size_t>> by_link_;
};

}  // namespace

bool OpenFile::writable() const { return (flags & O_ACCMODE) != O_RDONLY; }

bool OpenFile::deleted() const { return link.starts_with('/') && link.ends_with(kDeleted); }

std::string OpenFile::path() const {
  return deleted() ? link.substr(0, link.size() - kDeleted.size()) : link;
}

OpenFiles open_files_of(const std::vector<pid_t>& pids) {
  Collection collection;
  for (const pid_t pid : pids) {
    collection.add(pid);
  }
  return collection.take();
}

void OutsideFiles::look() {
  looked_ = true;
  for (const pid_t pid : all_pids()) {
    if (std::find(family_.begin(), family_.end(), pid) != family_.end()) {
      continue;
    }
    for (const int descriptor : descriptors_of(pid).value_or(std::vector<int>())) {
      by_link_.emplace(link_of({pid, descriptor}), std::pair(pid, descriptor));
    }
  }
}

bool OutsideFiles::hold(const OpenFile& file) {
  if (!looked_) {
    look();
  }
  const auto& [pid, numbers] = *file.holders.begin();
  const auto [first, last] = by_link_.equal_range(file.link);
  return std::any_of(first, last, [&, own = Held{pid, numbers.front()}](const auto& entry) {
    const Held other{entry.second.first, entry.second.second};
    // The master may have forked another one since the family was looked at.
    return compare(own, other) == 0 && !descends_from(other.pid, family_.front());
  });
}

}  // namespace forktail::doctor
