#include "log/fragment.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>

#include "log/line.h"

namespace forktail::log {

namespace {

// How much of a file's end is looked at for what killed writers have left.
constexpr off_t kWindow = 1 << 20;

bool begins_a_line(std::string_view text, std::string_view start) {
  return text.starts_with(start) || start.starts_with(text);
}

bool erase_at_end(int file, std::string_view fragment) {
  struct stat info {};
  if (fstat(file, &info) != 0 || !S_ISREG(info.st_mode)) {
    return false;
  }
  const auto size = static_cast<ssize_t>(fragment.size());
  const off_t at = info.st_size - size;
  std::array<char, kMaxLine> bytes;
  if (at < 0 || pread(file, bytes.data(), fragment.size(), at) != size ||
      std::string_view(bytes.data(), fragment.size()) != fragment) {
    return false;
  }
  std::fill_n(bytes.begin(), fragment.size(), ' ');
  return pwrite(file, bytes.data(), fragment.size(), at) == size;
}

// By way of /proc, since the file may be renamed or deleted by now.
int open_again(int descriptor, int access) {
  const std::string path = "/proc/self/fd/" + std::to_string(descriptor);
  return open(path.c_str(), access | O_CLOEXEC | O_NONBLOCK);
}

// What stands in the file from `from` on.
std::string rest_of(int file, off_t from) {
  std::string rest;
  std::array<char, 32768> part;
  for (ssize_t got = 0; (got = pread(file, part.data(), part.size(), from)) > 0; from += got) {
    rest.append(part.data(), static_cast<std::size_t>(got));
  }
  return rest;
}

}  // namespace

bool erase_fragment(int descriptor, std::string_view fragment) noexcept {
  // Opened anew, since a pwrite to an O_APPEND descriptor appends (pwrite(2), "Bugs").
  const int file = open_again(descriptor, O_RDWR);
  if (file < 0) {
    return false;
  }
  const bool erased = fragment.size() <= kMaxLine && erase_at_end(file, fragment);
  close(file);
  return erased;
}

FileEnd file_end(int descriptor) noexcept {
  struct stat info {};
  if (fstat(descriptor, &info) != 0 || !S_ISREG(info.st_mode)) {
    return {};
  }
  return {info.st_dev, info.st_ino, info.st_size};
}

std::uint32_t lines_written_since(int descriptor, off_t from, std::string_view block) noexcept {
  const int file = open_again(descriptor, O_RDWR);
  if (file < 0) {
    return 0;
  }
  const std::string rest = rest_of(file, from);
  // A line's beginning, with its time to the microsecond, its process and thread, is no other's.
  const std::string_view beginning = block.substr(0, std::min(block.find("\"seq\""), block.size()));
  std::uint32_t lines = 0;
  if (const std::size_t at = rest.find(beginning); at != std::string::npos) {
    const std::string_view there = std::string_view(rest).substr(at);
    const auto same =
        static_cast<std::size_t>(std::ranges::mismatch(there, block).in2 - block.begin());
    const std::string_view whole = block.substr(0, block.substr(0, same).rfind('\n') + 1);
    lines = static_cast<std::uint32_t>(std::ranges::count(whole, '\n'));
    const std::string blanks(same - whole.size(), ' ');
    static_cast<void>(
        pwrite(file, blanks.data(), blanks.size(), from + static_cast<off_t>(at + whole.size())));
  }
  close(file);
  return lines;
}

void blank_torn_lines(int descriptor, std::string_view start) noexcept {
  const int file = open_again(descriptor, O_RDWR);
  if (file < 0) {
    return;
  }
  const off_t from = std::max<off_t>(0, file_end(file).size - kWindow);
  const std::string end = rest_of(file, from);
  // The first line of a window has its beginning elsewhere.
  std::size_t begin = from == 0 ? 0 : end.find('\n') + 1;
  for (std::size_t feed; (feed = end.find('\n', begin)) != std::string::npos; begin = feed + 1) {
    const std::string_view line = std::string_view(end).substr(0, feed);
    begin = std::min(line.find_first_not_of(' ', begin), feed);
    const std::size_t last = line.rfind(start);
    if (last == std::string_view::npos || last <= begin) {
      continue;
    }
    const std::string_view before = line.substr(begin, last - begin);
    if (begins_a_line(before, start)) {
      const std::string blanks(before.size(), ' ');
      static_cast<void>(
          pwrite(file, blanks.data(), blanks.size(), from + static_cast<off_t>(begin)));
    }
  }
  close(file);
}

void cut_unfinished_line(int descriptor, std::string_view start) noexcept {
  const int file = open_again(descriptor, O_RDWR);
  if (file < 0) {
    return;
  }
  const off_t from = std::max<off_t>(0, file_end(file).size - kWindow);
  const std::string end = rest_of(file, from);
  const std::size_t unfinished = end.rfind('\n') + 1;
  const std::size_t begin = std::min(end.find_first_not_of(' ', unfinished), end.size());
  if (unfinished < end.size() && begins_a_line(std::string_view(end).substr(begin), start)) {
    static_cast<void>(ftruncate(file, from + static_cast<off_t>(unfinished)));
  }
  close(file);
}

}  // namespace forktail::log
