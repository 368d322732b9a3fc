// Option values as people write them.
//
// Each function that parses throws CLI::ValidationError with a message that names the option, the
// value and what would be right.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>

namespace CLI {
class Validator;
}

namespace forktail::cli {

// "250ms", "4s", "10m", "1h", "30": without a unit it is seconds. Fractions ("1.5") are allowed.
std::chrono::milliseconds parse_duration(const std::string& option, const std::string& text);

// "65535", "64k", "100m", "2g": bytes, units of 1024.
std::uint64_t parse_size(const std::string& option, const std::string& text);

// "200", "512k", "1g": bytes, units of 1024; without a unit it is megabytes.
std::uint64_t parse_megabytes(const std::string& option, const std::string& text);

// "5000": how many, up to 1,000,000,000.
std::uint64_t parse_count(const std::string& option, const std::string& text);

// "660": octal permission bits.
mode_t parse_mode(const std::string& option, const std::string& text);

// CLI::Range in words of our own: those of CLI11 differ from version to version.
CLI::Validator in_range(int least, int most);

}  // namespace forktail::cli
