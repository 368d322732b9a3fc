// Logs that are read whole for an id that bears no time: it is found wherever it stands in them.
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "story/search/find.h"
#include "story/search/id_query.h"

namespace forktail::story {
namespace {

constexpr Micros kScanNow = INT64_C(1'795'845'700) * kSecond;
constexpr std::string_view kForeignId = "order-7435c3a3f4c1fbe7";
constexpr std::size_t kBorder = 4U << 20;  // a piece; each eighth is a share's, too
constexpr std::size_t kBorders = 9;

std::string filler(std::size_t size) {
  std::string text(size, 'x');
  for (std::size_t at = 63; at < size; at += 64) {
    text[at] = '\n';
  }
  return text;
}

// A line whose id begins at `at`; where that line begins.
std::uint64_t put_line(std::string& text, std::size_t at) {
  const std::string before = "\n{\"ts\":\"" + rfc3339(kScanNow) + "\",\"request_id\":\"";
  const std::string line = before + std::string(kForeignId) + "\",\"msg\":\"here\"}\n";
  text.replace(at - before.size(), line.size(), line);
  return at - before.size() + 1;
}

Sources one_log(const std::string& text) {
  std::string path = "/tmp/forktail-scan-XXXXXX";
  const int descriptor = mkstemp(path.data());
  unlink(path.c_str());
  EXPECT_EQ(write(descriptor, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  Sources sources;
  sources.push_back(
      std::make_unique<Source>(path, descriptor, Packing::none, text.size(), kScanNow));
  return sources;
}

std::vector<std::uint64_t> found_at(const Sources& sources, int threads) {
  std::string why;
  FindOptions options;
  options.threads = threads;
  const Found found = find_id(sources, *IdQuery::parse(kForeignId, kScanNow, why), options);
  EXPECT_EQ(found.reports.front().how, How::scanned);
  EXPECT_EQ(found.reports.front().note, "");
  std::vector<std::uint64_t> offsets;
  offsets.reserve(found.events.size());
  for (const Event& event : found.events) {
    if (!event.drawn) {  // lines without a time behind it
      offsets.push_back(event.offset);
    }
  }
  std::sort(offsets.begin(), offsets.end());
  return offsets;
}

TEST(StoryScan, FindsAnIdThatStandsAcrossTheBordersOfPieces) {
  std::string text = filler(kBorders * kBorder + 1000);
  for (const std::size_t shift : {0, 1, 11, 21}) {  // of the id's 22 characters
    std::vector<std::uint64_t> expected;
    for (std::size_t border = 1; border <= kBorders; ++border) {
      expected.push_back(put_line(text, border * kBorder - shift));
    }
    EXPECT_EQ(found_at(one_log(text), shift % 2 == 0 ? 1 : 3), expected) << shift;
    for (std::size_t border = 1; border <= kBorders; ++border) {
      text.replace(border * kBorder - 200, 400, filler(400));
    }
  }
}

TEST(StoryScan, FindsAnIdInTheFirstBytesAndInTheLast) {
  for (std::size_t size = 60; size < 130; ++size) {
    std::string text = filler(size);
    text.replace(0, kForeignId.size() + 1, std::string(kForeignId) + "\n");
    text.replace(size - kForeignId.size() - 1, std::string::npos, "\n" + std::string(kForeignId));
    EXPECT_EQ(found_at(one_log(text), 1),
              (std::vector<std::uint64_t>{0, size - kForeignId.size()}));
  }
}

TEST(StoryScan, TellsALogThatIsCutShortMeanwhile) {
  const Sources sources = one_log(filler(3 * kBorder));
  ASSERT_EQ(ftruncate(sources.front()->descriptor(), kBorder / 2), 0);
  std::string why;
  FindOptions options;
  options.threads = 1;
  const Found found = find_id(sources, *IdQuery::parse(kForeignId, kScanNow, why), options);
  EXPECT_EQ(found.reports.front().note, "was truncated while it was read");
}

}  // namespace
}  // namespace forktail::story
