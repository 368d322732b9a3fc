// What workers require of what they share: who finds it broken ends, and the others serve on.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "dispatch_support.h"
#include "server/child/crash.h"
#include "server/os/require.h"

namespace forktail::server {
namespace {

class RequireTest : public DispatchTest {
 protected:
  // Overwrites each word of the table that equals `old`.
  void replace_words(std::uint32_t old, std::uint32_t fresh) {
    struct stat file {};
    ASSERT_EQ(fstat(kept().memfd(), &file), 0);
    for (off_t at = 0; at < file.st_size; at += static_cast<off_t>(sizeof(old))) {
      std::uint32_t word = 0;
      if (pread(kept().memfd(), &word, sizeof(word), at) == sizeof(word) && word == old) {
        ASSERT_EQ(pwrite(kept().memfd(), &fresh, sizeof(fresh), at), sizeof(fresh));
      }
    }
  }
  static constexpr std::uint32_t kSlotsMagic = 0x666b6b73;
  static constexpr int kAborted = 128 + SIGABRT;
};

TEST_F(RequireTest, WhatIsMetLeavesNoTrace) {
  require(true, "all is well");
  EXPECT_EQ(unmet(), nullptr);
}

TEST_F(RequireTest, WhatIsNotMetEndsTheProcessAndIsKnownToTheHandlerOfItsSignal) {
  SocketPair pair;
  static int told;
  told = pair.theirs.get();
  Child child([] {
    signal(SIGABRT, [](int) {
      const std::string_view what = unmet();
      static_cast<void>(write(told, what.data(), what.size()));
    });
    require(false, "this");
    return 0;
  });
  EXPECT_EQ(receive_text(pair.ours.get()), "this");
  EXPECT_EQ(child.join(), kAborted);
}

TEST_F(RequireTest, TheCrashLineSaysWhatWasNotMet) {
  const std::string path = ::testing::TempDir() + "require_" + std::to_string(getpid()) + ".log";
  Child child([&] {
    log::Sink sink(path, log::Format::json);
    report_crashes(sink);
    require(false, "a thing that must hold");
    return 0;
  });
  EXPECT_EQ(child.join(), kAborted);
  std::string line;
  std::getline(std::ifstream(path), line);
  EXPECT_NE(line.find("\"msg\":\"crashed by SIGABRT: a thing that must hold\""), std::string::npos)
      << line;
  unlink(path.c_str());
}

TEST_F(RequireTest, ALetterThatNobodySendsEndsTheWorkerThatReadsIt) {
  start(1);
  start(2);
  const std::array<std::uint32_t, 5> words{};
  ASSERT_GT(send(share().mailboxes.descriptors().at(3), words.data(), sizeof(words), 0), 0);
  worker(1).begin("read mail");
  EXPECT_EQ(worker(1).join(), kAborted);
  const Descriptor client = listener_.connect();
  send_text(client.get(), "hello");
  EXPECT_EQ(worker(2).next(), "hello");
}

TEST_F(RequireTest, AMailboxThatWasShutDownEndsNobody) {
  start(1);
  shutdown(share().mailboxes.incoming(1), SHUT_RDWR);
  EXPECT_EQ(worker(1).ask("read mail"), "done");
}

TEST_F(RequireTest, AConnectionThatNobodyHasMadeEndsTheWorkerThatClaimsIt) {
  start(1);
  const Descriptor client = kept_by(1);
  replace_words(kSlotsMagic, 0);
  send_text(client.get(), "hello");
  worker(1).begin("next");
  EXPECT_EQ(worker(1).join(), kAborted);
  // The master closes the connection, and the slot is as good as new.
  kept_connections_->resume(1, 1, KeptConnections::Clock::now() + 1h,
                            [](int, bool) { return true; });
  kept_connections_->dismiss(1);
  EXPECT_EQ(receive_text(client.get()), "(end)");
  EXPECT_TRUE(all_free());
  start(1);
  const Descriptor another = kept_by(1);
  send_text(another.get(), "hello");
  EXPECT_EQ(worker(1).next(), "hello");
}

TEST_F(RequireTest, AConnectionIsGivenBackByItsOwnerOnly) {
  start(1);
  const Descriptor client = kept_by(1);
  send_text(client.get(), "hello");
  ASSERT_EQ(worker(1).next(), "hello");
  replace_words(ReadyList::owner(1, 0), ReadyList::owner(2, 0));
  worker(1).begin("keep");
  EXPECT_EQ(worker(1).join(), kAborted);
}

}  // namespace
}  // namespace forktail::server
