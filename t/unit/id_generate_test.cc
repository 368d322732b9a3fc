#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <set>
#include <string>
#include <vector>

#include "id/generate.h"

namespace {

using forktail::id::Format;
using forktail::id::Generator;

std::uint64_t fake_now = 0;
std::uint64_t fake_clock() noexcept { return fake_now; }

std::string make(Generator& generator, Format format) {
  const auto text = generator.next(format);
  return text ? std::string(text->view()) : std::string();
}

TEST(Generate, LaysTheBitsOutAsRfc9562Says) {
  // 2022-02-22T19:22:22.000Z, the timestamp of RFC 9562's own UUIDv7 example (appendix A.6).
  fake_now = 0x017F22E279B0ULL * 1'000'000 + 500'000;  // and half a millisecond
  Generator generator(fake_clock);
  const std::string id = make(generator, Format::hex);
  ASSERT_EQ(id.size(), 32U);
  EXPECT_EQ(id.substr(0, 12), "017f22e279b0");
  EXPECT_EQ(id.substr(12, 4), "7800") << "version 7, then 0.5 ms in 1/4096 ms";
  EXPECT_NE(std::string("89ab").find(id[16]), std::string::npos) << "variant 10";
}

TEST(Generate, PrintsUuidsWithDashes) {
  fake_now = 0x017F22E279B0ULL * 1'000'000;
  Generator generator(fake_clock);
  const std::string id = make(generator, Format::uuid);
  ASSERT_EQ(id.size(), 36U);
  EXPECT_EQ(id.substr(0, 19), "017f22e2-79b0-7000-");
  EXPECT_EQ(id[23], '-');
}

TEST(Generate, RandomIdsHoldNoTime) {
  fake_now = 0x017F22E279B0ULL * 1'000'000;
  Generator generator(fake_clock);
  std::set<std::string> heads;
  for (int i = 0; i < 100; ++i) {
    heads.insert(make(generator, Format::random).substr(0, 12));
  }
  EXPECT_EQ(heads.size(), 100U);
}

TEST(Generate, IncreasesWhenTheClockStandsStillOrGoesBack) {
  fake_now = 1'700'000'000'000'000'000ULL;
  Generator generator(fake_clock);
  std::string last = make(generator, Format::hex);
  for (int i = 0; i < 20'000; ++i) {
    if (i == 10'000) {
      fake_now -= 3'600'000'000'000ULL;
    }
    const std::string next = make(generator, Format::hex);
    ASSERT_LT(last.substr(0, 16), next.substr(0, 16));
    last = next;
  }
}

TEST(Generate, SpansAreSixteenHexDigits) {
  Generator generator;
  const auto span = generator.next_span();
  ASSERT_TRUE(span);
  EXPECT_EQ(std::string(span->data(), 16).find_first_not_of("0123456789abcdef"), std::string::npos);
}

// The fork trap itself: the parent has drawn a batch of random bytes and made ids with a clock that
// stands still; without the fences every child would go on from the same bytes.
TEST(Generate, ForkedProcessesNeverRepeatAnId) {
  constexpr int kProcesses = 4;
  constexpr int kIds = 5'000;
  fake_now = 1'700'000'000'000'000'000ULL;
  Generator generator(fake_clock);
  make(generator, Format::hex);

  std::vector<int> pipes;
  for (int i = 0; i < kProcesses; ++i) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t pid = fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) {
      for (int n = 0; n < kIds; ++n) {
        const std::string id = make(generator, Format::hex);
        if (write(ends[1], id.data(), id.size()) != static_cast<ssize_t>(id.size())) {
          _exit(1);
        }
      }
      _exit(0);
    }
    close(ends[1]);
    pipes.push_back(ends[0]);
  }

  std::set<std::string> ids;
  for (const int fd : pipes) {
    std::string all;
    char buffer[65536];
    for (ssize_t got = 0; (got = read(fd, buffer, sizeof(buffer))) > 0;) {
      all.append(buffer, static_cast<std::size_t>(got));
    }
    close(fd);
    for (std::size_t at = 0; at < all.size(); at += 32) {
      ids.insert(all.substr(at, 32));
    }
  }
  for (int i = 0; i < kProcesses; ++i) {
    int status = 0;
    ASSERT_GT(wait(&status), 0);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(ids.size(), static_cast<std::size_t>(kProcesses * kIds));
}

}  // namespace
