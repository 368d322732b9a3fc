#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "server/os/stack_trace.h"

namespace forktail::server {
namespace {

using testing::MatchesRegex;

std::vector<std::string> texts(const StackTrace& trace) {
  return {trace.frames().begin(), trace.frames().end()};
}

// The address that a frame of this program stands for.
std::uintptr_t address_of(const std::string& frame) {
  Dl_info here{};
  dladdr(reinterpret_cast<void*>(&note_loaded_objects), &here);
  return reinterpret_cast<std::uintptr_t>(here.dli_fbase) +
         std::strtoull(frame.substr(frame.find('+') + 1).c_str(), nullptr, 16);
}

std::optional<StackTrace> taken_in_handler;

[[gnu::noinline]] int raise_usr1() { return raise(SIGUSR1) + 1; }

[[gnu::noinline]] std::vector<std::string> deep(int depth) {
  return depth == 0 ? texts(StackTrace()) : deep(depth - 1);
}

TEST(StackTrace, NamesObjectsAndOffsets) {
  note_loaded_objects();
  const auto frames = texts(StackTrace());
  ASSERT_GE(frames.size(), 3U);
  for (const std::string& frame : frames) {
    EXPECT_THAT(frame, MatchesRegex("[A-Za-z0-9_.+-]+\\+0x[0-9a-f]+"));
  }
  EXPECT_THAT(frames.front(), testing::HasSubstr(program_invocation_short_name));
  EXPECT_THAT(frames, testing::Contains(testing::HasSubstr("libc.so.6+0x")));
}

TEST(StackTrace, BeginsWhereASignalStruck) {
  note_loaded_objects();
  struct sigaction action {};
  action.sa_flags = SA_SIGINFO;
  action.sa_sigaction = [](int, siginfo_t*, void* context) { taken_in_handler.emplace(context); };
  sigaction(SIGUSR1, &action, nullptr);
  raise_usr1();
  signal(SIGUSR1, SIG_DFL);
  // raise() stands in libc, its caller is here.
  ASSERT_TRUE(taken_in_handler);
  const auto frames = texts(*taken_in_handler);
  ASSERT_FALSE(frames.empty());
  EXPECT_THAT(frames.front(), testing::StartsWith("libc"));
  const auto begin = reinterpret_cast<std::uintptr_t>(&raise_usr1);
  EXPECT_THAT(frames,
              testing::Contains(testing::ResultOf(
                  address_of, testing::AllOf(testing::Gt(begin), testing::Lt(begin + 100)))));
}

TEST(StackTrace, IsCutWhereItWouldFillTheLine) { EXPECT_EQ(deep(200).size(), 40U); }

}  // namespace
}  // namespace forktail::server
