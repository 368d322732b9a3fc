#include "cli/values.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <array>
#include <charconv>
#include <cmath>
#include <string_view>
#include <utility>

namespace forktail::cli {

namespace {

[[noreturn]] void refuse(const std::string& option, const std::string& text, const char* right) {
  throw CLI::ValidationError(option, fmt::format("`{}` is not {}", text, right));
}

}  // namespace

std::chrono::milliseconds parse_duration(const std::string& option, const std::string& text) {
  static constexpr std::array<std::pair<std::string_view, double>, 5> kUnits{
      {{"", 1e3}, {"ms", 1}, {"s", 1e3}, {"m", 60e3}, {"h", 3600e3}}};
  constexpr double kLongest = 366.0 * 24 * 3600e3;
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit(end, text.data() + text.size());
  for (const auto& [name, factor] : kUnits) {
    if (error == std::errc() && unit == name && number >= 0 && number * factor <= kLongest) {
      return std::chrono::milliseconds(std::llround(number * factor));
    }
  }
  refuse(option, text, "a duration (such as 250ms, 4s, 10m, 1h; seconds without a unit)");
}

std::uint64_t parse_size(const std::string& option, const std::string& text) {
  static constexpr std::array<std::pair<std::string_view, unsigned>, 7> kUnits{
      {{"", 0}, {"k", 10}, {"K", 10}, {"m", 20}, {"M", 20}, {"g", 30}, {"G", 30}}};
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit(end, text.data() + text.size());
  for (const auto& [name, shift] : kUnits) {
    if (error == std::errc() && unit == name && number <= (UINT64_MAX >> shift)) {
      return number << shift;
    }
  }
  refuse(option, text, "a size in bytes (such as 65535, 64k, 100m)");
}

std::uint64_t parse_megabytes(const std::string& option, const std::string& text) {
  const bool bare = text.find_first_not_of("0123456789") == std::string::npos;
  return parse_size(option, bare ? text + "m" : text);
}

std::uint64_t parse_count(const std::string& option, const std::string& text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number > 1'000'000'000) {
    refuse(option, text, "a number from 0 to 1000000000");
  }
  return number;
}

mode_t parse_mode(const std::string& option, const std::string& text) {
  unsigned mode = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), mode, 8);
  if (error != std::errc() || end != text.data() + text.size() || mode > 0777) {
    refuse(option, text, "a mode in octal digits (such as 660)");
  }
  return mode;
}

CLI::Validator in_range(int least, int most) {
  const auto check = [least, most](const std::string& text) -> std::string {
    int value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool is_number = error == std::errc() && end == text.data() + text.size();
    return is_number && value >= least && value <= most
               ? ""
               : fmt::format("Value {} not in range {} to {}", text, least, most);
  };
  return {check, fmt::format("INT in [{} - {}]", least, most)};
}

}  // namespace forktail::cli
