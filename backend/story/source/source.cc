#include "story/source/source.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <set>
#include <system_error>

#include "story/text.h"

namespace forktail::story {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostFiles = 2000;
constexpr std::array<const char*, 3> kUsualPlaces{"/var/log/nginx", "/var/log/forktail",
                                                  "/var/log/uwsgi"};

Packing packing_of(int descriptor) {
  std::array<unsigned char, 4> magic{};
  if (pread(descriptor, magic.data(), magic.size(), 0) == static_cast<ssize_t>(magic.size())) {
    if (magic[0] == 0x1f && magic[1] == 0x8b) {
      return Packing::gzip;
    }
    constexpr std::array<unsigned char, 4> kZstd{0x28, 0xb5, 0x2f, 0xfd};
    if (magic == kZstd) {
      return Packing::zstd;
    }
  }
  return Packing::none;
}

Micros micros_of_timespec(const timespec& at) { return at.tv_sec * kSecond + at.tv_nsec / 1000; }

// ".1", ".2.gz", "-20261128", "-20261128.gz", "-2026-11-28.zst", ".1.zst"
bool is_rotation(std::string_view suffix) {
  for (const std::string_view packed : {".gz", ".zst"}) {
    if (suffix.ends_with(packed)) {
      suffix.remove_suffix(packed.size());
    }
  }
  if (suffix.empty()) {
    return true;  // NAME.gz beside NAME
  }
  return (suffix[0] == '.' || suffix[0] == '-') && suffix.size() > 1 && is_digit(suffix[1]) &&
         std::all_of(suffix.begin() + 1, suffix.end(),
                     [](char c) { return is_digit(c) || c == '-' || c == '_'; });
}

bool looks_like_a_log(const std::string& name) {
  static constexpr std::array<std::string_view, 5> kParts{".log", ".json", "access", "error",
                                                          "syslog"};
  if (name.starts_with('.') || name.ends_with(".sock") || name.ends_with(".pid")) {
    return false;
  }
  return std::any_of(kParts.begin(), kParts.end(),
                     [&](std::string_view part) { return name.find(part) != std::string::npos; });
}

class Finder {
 public:
  explicit Finder(bool with_rotated) : with_rotated_(with_rotated) {}

  void add(const std::string& path, bool named) {
    if (path == "-") {
      take(std::make_unique<Source>("-", dup(STDIN_FILENO), Packing::pipe, 0, kUnknown), {0, 1});
      return;
    }
    std::error_code error;
    if (fs::is_directory(path, error)) {
      add_directory(path);
      return;
    }
    add_file(path, named);
    if (with_rotated_) {
      add_rotated(path);
    }
  }

  Discovery found;

 private:
  void add_directory(const std::string& path) {
    std::error_code error;
    fs::recursive_directory_iterator entries(path, error);
    if (error) {
      found.troubles.push_back(fmt::format("{}: {}", path, error.message()));
      return;
    }
    std::vector<std::string> files;
    for (; !error && entries != fs::recursive_directory_iterator(); entries.increment(error)) {
      if (entries.depth() > 3) {
        entries.disable_recursion_pending();
      }
      std::error_code ignored;
      if (entries->is_regular_file(ignored) &&
          looks_like_a_log(entries->path().filename().string())) {
        files.push_back(entries->path().string());
      }
      if (files.size() > kMostFiles) {
        found.troubles.push_back(
            fmt::format("{}: holds more than {} logs, name fewer", path, kMostFiles));
        break;
      }
    }
    std::sort(files.begin(), files.end());
    for (const std::string& file : files) {
      add_file(file, false);
    }
  }

  void add_rotated(const std::string& path) {
    const fs::path file(path);
    const std::string name = file.filename().string();
    const fs::path folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
    std::error_code error;
    std::vector<std::string> names;
    for (fs::directory_iterator at(folder, error); !error && at != fs::directory_iterator();
         at.increment(error)) {
      const std::string other = at->path().filename().string();
      if (other.size() > name.size() && other.starts_with(name) &&
          is_rotation(std::string_view(other).substr(name.size()))) {
        names.push_back(file.has_parent_path() ? at->path().string() : other);
      }
    }
    std::sort(names.begin(), names.end());
    for (const std::string& rotated : names) {
      add_file(rotated, false);
    }
  }

  void add_file(const std::string& path, bool named) {
    const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat status {};
    if (descriptor < 0 || fstat(descriptor, &status) != 0) {
      const int reason = errno;
      if (descriptor >= 0) {
        close(descriptor);
      }
      if (named || reason != ENOENT) {
        found.troubles.push_back(
            fmt::format("{}: {}", path, std::generic_category().message(reason)));
      }
      return;
    }
    if (S_ISREG(status.st_mode)) {
      take(std::make_unique<Source>(path, descriptor, packing_of(descriptor),
                                    static_cast<std::uint64_t>(status.st_size),
                                    micros_of_timespec(status.st_mtim)),
           {status.st_dev, status.st_ino});
      return;
    }
    fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) & ~O_NONBLOCK);
    take(std::make_unique<Source>(path, descriptor, Packing::pipe, 0, kUnknown),
         {status.st_dev, status.st_ino});
  }

  // Once, by whatever names it is known.
  void take(std::unique_ptr<Source> source, std::pair<dev_t, ino_t> identity) {
    if (seen_.insert(identity).second) {
      found.sources.push_back(std::move(source));
    }
  }

  bool with_rotated_;
  std::set<std::pair<dev_t, ino_t>> seen_;
};

}  // namespace

Source::Source(std::string name, int descriptor, Packing packing, std::uint64_t size,
               Micros written)
    : name_(std::move(name)),
      descriptor_(descriptor),
      packing_(packing),
      size_(size),
      written_(written) {}

Source::~Source() { close(descriptor_); }

void Source::refresh() {
  struct stat status {};
  if (packing_ != Packing::pipe && fstat(descriptor_, &status) == 0) {
    size_ = static_cast<std::uint64_t>(status.st_size);
    written_ = micros_of_timespec(status.st_mtim);
  }
}

void Source::expect_jumps() const { posix_fadvise(descriptor_, 0, 0, POSIX_FADV_RANDOM); }

void Source::expect_all() const { posix_fadvise(descriptor_, 0, 0, POSIX_FADV_SEQUENTIAL); }

std::unique_ptr<ByteStream> Source::stream() const {
  switch (packing_) {
    case Packing::gzip:
      return unpack_gzip(range(0, size_));
    case Packing::zstd:
      return unpack_zstd(range(0, size_));
    case Packing::pipe:
      return read_descriptor(descriptor_);
    case Packing::none:
      break;
  }
  return range(0, size_);
}

std::unique_ptr<ByteStream> Source::range(std::uint64_t from, std::uint64_t to) const {
  return read_range(descriptor_, from, to);
}

Discovery discover(const std::vector<std::string>& paths, bool with_rotated) {
  Finder finder(with_rotated);
  for (const std::string& path : paths) {
    finder.add(path, true);
  }
  if (paths.empty()) {
    for (const char* place : kUsualPlaces) {
      if (std::error_code error; fs::exists(place, error)) {
        finder.add(place, false);
      }
    }
  }
  std::erase_if(finder.found.sources, [&](const std::unique_ptr<Source>& source) {
    const bool unreadable =
        source->packing() == Packing::zstd && unpack_zstd(source->range(0, 0)) == nullptr;
    if (unreadable) {
      finder.found.troubles.push_back(source->name() + ": forktail was built without libzstd");
    }
    return unreadable;
  });
  return std::move(finder.found);
}

std::vector<std::string> paths_from_environment() {
  std::vector<std::string> paths;
  const char* value = std::getenv("FORKTAIL_LOGS");  // NOLINT(concurrency-mt-unsafe): at the start
  std::string_view left = value == nullptr ? "" : value;
  while (!left.empty()) {
    const std::size_t colon = left.find(':');
    if (colon != 0) {
      paths.emplace_back(left.substr(0, colon));
    }
    left.remove_prefix(colon == std::string_view::npos ? left.size() : colon + 1);
  }
  return paths;
}

}  // namespace forktail::story
