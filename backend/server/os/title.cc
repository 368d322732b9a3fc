#include "server/os/title.h"

#include <linux/prctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <vector>

namespace forktail::server {

namespace {

// The kernel reads it from here whenever somebody asks.
std::array<char, 256> shown;

// The numbers of /proc/self/stat behind the name: field 3 of proc(5) is the first.
std::vector<std::uint64_t> stat_numbers() {
  std::ifstream file("/proc/self/stat");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  std::istringstream words(text.substr(text.rfind(')') + 1));
  std::vector<std::uint64_t> numbers;
  for (std::string word; words >> word;) {
    numbers.push_back(std::strtoull(word.c_str(), nullptr, 10));
  }
  return numbers;
}

// Tells the kernel that the command line is `size` bytes of `shown`. prctl(2), PR_SET_MM_MAP, wants
// all of the memory's borders at once, but, unlike PR_SET_MM_ARG_START, no capability. A kernel
// that knows neither goes on showing what it showed.
void show(std::size_t size) {
  constexpr std::size_t kFields = 50;
  const std::vector<std::uint64_t> stat = stat_numbers();
  if (stat.size() < kFields) {
    return;
  }
  const auto field = [&](std::size_t number) { return stat[number - 3]; };
  prctl_mm_map map{};
  map.start_code = field(26);
  map.end_code = field(27);
  map.start_stack = field(28);
  map.start_data = field(45);
  map.end_data = field(46);
  map.start_brk = field(47);
  map.brk = reinterpret_cast<std::uintptr_t>(sbrk(0));
  map.arg_start = reinterpret_cast<std::uintptr_t>(shown.data());
  map.arg_end = map.arg_start + size;
  map.env_start = field(50);
  map.env_end = field(51);
  map.exe_fd = static_cast<__u32>(-1);
  prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof(map), 0);
}

}  // namespace

void set_title(const std::string& prefix, std::string_view what) {
  std::string title = prefix.empty() ? "" : prefix + " ";
  title.append("forktail: ").append(what);
  shown.fill(0);
  const std::size_t size = title.copy(shown.data(), shown.size() - 1) + 1;
  show(size);
}

}  // namespace forktail::server
