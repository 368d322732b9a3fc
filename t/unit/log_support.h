// What the tests of the log share: a directory of their own, and a system that fails when told to.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "log/system.h"

namespace forktail::log {

using Json = nlohmann::ordered_json;

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "forktail-log-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) {
      throw std::system_error(errno, std::generic_category(), name);
    }
    path_ = name;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  [[nodiscard]] std::string operator/(const char* name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

inline std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The complete lines of a file; anything behind the last newline fails the test.
inline std::vector<std::string> lines_of(const std::string& path) {
  const std::string content = content_of(path);
  std::vector<std::string> lines;
  std::size_t begin = 0;
  for (std::size_t end; (end = content.find('\n', begin)) != std::string::npos; begin = end + 1) {
    lines.push_back(content.substr(begin, end - begin));
  }
  EXPECT_EQ(content.substr(begin), "") << path << " ends in the middle of a line";
  return lines;
}

inline std::vector<Json> json_lines_of(const std::string& path) {
  std::vector<Json> lines;
  for (const std::string& line : lines_of(path)) {
    lines.push_back(Json::parse(line));
  }
  return lines;
}

inline std::vector<std::string> messages_of(const std::string& path) {
  std::vector<std::string> messages;
  for (const Json& line : json_lines_of(path)) {
    messages.push_back(line["msg"]);
  }
  return messages;
}

// Fails as scripted, one step a write, and works when the script is over. Its clocks stand still
// until the test moves them.
class FakeSystem : public System {
 public:
  void fail_next(int error) { script_.push_back({error, 0}); }
  void cut_next(std::size_t bytes) { script_.push_back({0, bytes}); }

  ssize_t write(int descriptor, const void* bytes, std::size_t size) override {
    writes.emplace_back(static_cast<const char*>(bytes), size);
    if (script_.empty()) {
      return System::write(descriptor, bytes, size);
    }
    const Step step = script_.front();
    script_.pop_front();
    if (step.error != 0) {
      errno = step.error;
      return -1;
    }
    return System::write(descriptor, bytes, std::min(step.bytes, size));
  }

  int dup3(int from, int to, int flags) override {
    if (dup3_error != 0) {
      errno = dup3_error;
      return -1;
    }
    return System::dup3(from, to, flags);
  }

  std::chrono::steady_clock::time_point steady_now() override { return steady; }
  std::chrono::system_clock::time_point wall_now() override { return wall; }

  std::vector<std::string> writes;
  int dup3_error = 0;
  std::chrono::steady_clock::time_point steady{std::chrono::hours(1)};
  // 2026-11-23T05:55:30.123456Z
  std::chrono::system_clock::time_point wall{std::chrono::microseconds(1795413330123456)};

 private:
  struct Step {
    int error;
    std::size_t bytes;
  };
  std::deque<Step> script_;
};

class LogTest : public ::testing::Test {
 protected:
  TemporaryDirectory directory_;
  const std::string path_ = directory_ / "forktail.log";
  FakeSystem system_;
};

}  // namespace forktail::log
