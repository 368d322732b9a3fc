// Whole logs, read by one thread and by several: the same lines in the same order.
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "story/search/ahead.h"
#include "story/search/walk.h"
#include "story/source/mapped.h"

namespace forktail::story {
namespace {

constexpr Micros kWalkNow = INT64_C(1'795'845'700) * kSecond;

// Lines of all lengths, so that shares end within them and between them; the last has no end.
Sources log_of(std::uint64_t bytes) {
  std::string path = "/tmp/forktail-walk-XXXXXX";
  const int descriptor = mkstemp(path.data());
  unlink(path.c_str());
  std::string text;
  for (int i = 0; text.size() < bytes; ++i) {
    const std::size_t length = i % 1000 == 999 ? 100'000 : static_cast<std::size_t>(i * 7 % 300);
    text += "{\"ts\":\"" + rfc3339(kWalkNow + i * kMillisecond) + "\",\"request_id\":\"request-" +
            std::to_string(i) + "\",\"msg\":\"" + std::string(length, 'x') + "\"}\n";
  }
  text += R"({"ts":"2026-11-28T06:00:00Z","requ)";
  EXPECT_EQ(write(descriptor, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  Sources sources;
  sources.push_back(
      std::make_unique<Source>(path, descriptor, Packing::none, text.size(), kWalkNow));
  return sources;
}

struct Seen {
  std::vector<std::string> lines;
  std::uint64_t bytes = 0;
  std::uint64_t count = 0;
};

Seen see(const Sources& sources, int threads, std::size_t most = SIZE_MAX) {
  WalkOptions options;
  options.threads = threads;
  Seen seen;
  const Walked walked = walk(sources, options, [&](Event& event, bool ended) {
    seen.lines.push_back(std::to_string(event.offset) + " " + event.id +
                         (event.broken ? " broken" : "") + (ended ? "" : " without an end"));
    return seen.lines.size() < most;
  });
  EXPECT_TRUE(walked.troubles.empty());
  seen.bytes = walked.bytes;
  seen.count = walked.lines;
  return seen;
}

TEST(StoryWalk, SeveralThreadsSeeWhatOneSees) {
  const Sources sources = log_of(6 * ReadAhead::kShare + 12'345);
  const Seen alone = see(sources, 1);
  EXPECT_EQ(alone.bytes, sources[0]->size());
  EXPECT_GT(alone.lines.size(), 2'000U);
  EXPECT_TRUE(alone.lines.back().ends_with(" broken without an end"));
  for (const int threads : {2, 3, 6}) {
    const Seen together = see(sources, threads);
    EXPECT_EQ(together.lines, alone.lines);
    EXPECT_EQ(together.bytes, alone.bytes);
    EXPECT_EQ(together.count, alone.count);
  }
}

TEST(StoryWalk, EndsWhereItIsToldTo) {
  const Sources sources = log_of(4 * ReadAhead::kShare);
  EXPECT_EQ(see(sources, 3, 100).lines.size(), 100U);
}

TEST(StoryWalk, WhatIsThrownWhereALineIsVisitedEndsIt) {
  const Sources sources = log_of(4 * ReadAhead::kShare);
  WalkOptions options;
  options.threads = 3;
  EXPECT_THROW(walk(sources, options, [](Event&, bool) -> bool { throw std::runtime_error("no"); }),
               std::runtime_error);
}

TEST(StoryWalk, ALogThatIsCutShortMeanwhileIsToldSo) {
  const Sources sources = log_of(4 * ReadAhead::kShare);
  EXPECT_EQ(ftruncate(sources[0]->descriptor(), 1000), 0);
  for (const int threads : {1, 3}) {
    WalkOptions options;
    options.threads = threads;
    const Walked walked = walk(sources, options, [](Event&, bool) { return true; });
    ASSERT_EQ(walked.troubles.size(), 1U);
    EXPECT_NE(walked.troubles[0].find("truncated while it was read"), std::string::npos);
  }
}

TEST(StoryMapped, AFileThatIsCutShortReadsAsZerosBehindItsEnd) {
  constexpr std::size_t kPage = 4096;
  std::string path = "/tmp/forktail-mapped-XXXXXX";
  const int descriptor = mkstemp(path.data());
  unlink(path.c_str());
  const std::string text(4 * kPage, 'x');
  ASSERT_EQ(write(descriptor, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  {
    const Mapped piece(descriptor, 100, 4 * kPage - 100);
    EXPECT_EQ(piece.bytes(), text.substr(100));
    ASSERT_EQ(ftruncate(descriptor, kPage), 0);
    EXPECT_EQ(piece.bytes()[kPage - 101], 'x');
    EXPECT_FALSE(Mapped::broken());
    EXPECT_EQ(piece.bytes()[2 * kPage], '\0');
    EXPECT_TRUE(Mapped::broken());
    EXPECT_EQ(piece.bytes().find('y'), std::string_view::npos);
  }
  const Mapped again(descriptor, 0, kPage);
  EXPECT_FALSE(Mapped::broken());
  EXPECT_EQ(again.bytes()[0], 'x');
  close(descriptor);
}

TEST(StoryMapped, WhatCanNotBeMappedIsEmpty) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  EXPECT_TRUE(Mapped(ends[0], 0, 100).bytes().empty());
  close(ends[0]);
  close(ends[1]);
}

}  // namespace
}  // namespace forktail::story
