#include <gtest/gtest.h>

#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "server/shared/slots.h"
#include "server_support.h"
#include "wire/packet.h"

namespace forktail::server {
namespace {

TEST(Slots, EachThreadOfEachSeatHasItsOwn) {
  const Slots slots(3, 2);
  std::set<const void*> places;
  for (int seat = 1; seat <= 3; ++seat) {
    places.insert(&slots.seat(seat));
    for (int thread = 0; thread < 2; ++thread) {
      places.insert(&slots.slot(seat, thread));
    }
  }
  EXPECT_EQ(places.size(), 9U);
}

TEST(Slots, TellTheWayOfARequest) {
  const Slots slots(1, 1);
  Slot& slot = slots.slot(1, 0);
  EXPECT_EQ(slot.snapshot().state, SlotState::idle);
  slot.begin_reading(42);
  EXPECT_EQ(slot.snapshot().state, SlotState::reading);
  EXPECT_EQ(slot.snapshot().since_ns, 42);
  slot.name_request("an-id", "GET", "/path");
  slot.begin_handling();
  const SlotRequest request = slot.snapshot();
  EXPECT_EQ(request.state, SlotState::handling);
  EXPECT_EQ(request.since_ns, 42);
  EXPECT_EQ(request.id, "an-id");
  EXPECT_EQ(request.method, "GET");
  EXPECT_EQ(request.path, "/path");
  slot.begin_writing(false);
  EXPECT_EQ(slot.snapshot().state, SlotState::writing);
  slot.finish(true);
  slot.begin_reading(43);
  EXPECT_EQ(slot.snapshot().id, "") << "the next request has no name yet";
  slot.finish(false);
  EXPECT_EQ(slot.snapshot().state, SlotState::idle);
  EXPECT_EQ(slot.requests(), 1U) << "one was served";
}

TEST(Slots, CutTextsToWhatFits) {
  const Slots slots(1, 1);
  Slot& slot = slots.slot(1, 0);
  slot.name_request(std::string(500, 'i'), std::string(500, 'm'), std::string(500, 'p'));
  slot.begin_handling();
  const SlotRequest request = slot.snapshot();
  EXPECT_EQ(request.id, std::string(128, 'i'));
  EXPECT_EQ(request.method, std::string(24, 'm'));
  EXPECT_EQ(request.path, std::string(256, 'p'));
}

// As long as the shortest request takes.
void pause_briefly() {
  const auto end = std::chrono::steady_clock::now() + 10us;
  while (std::chrono::steady_clock::now() < end) {
  }
}

TEST(Slots, ASnapshotOfALivingWriterIsNeverHalfOfEach) {
  const Slots slots(1, 1);
  Slot& slot = slots.slot(1, 0);
  const std::string a(100, 'a');
  const std::string b(30, 'b');
  slot.name_request(a, a, a);
  slot.begin_handling();
  const Child writer([&]() -> int {
    for (;;) {
      slot.name_request(b, b, b);
      slot.begin_handling();
      pause_briefly();
      slot.name_request(a, a, a);
      slot.begin_handling();
      pause_briefly();
    }
  });
  int seen_b = 0;
  for (int i = 0; i < 50'000; ++i) {
    const SlotRequest request = slot.snapshot();
    const char c = request.id.front();
    ASSERT_EQ(request.id, c == 'a' ? a : b);
    ASSERT_EQ(request.method, std::string(24, c));
    ASSERT_EQ(request.path, c == 'a' ? a : b);
    seen_b += c == 'b' ? 1 : 0;
  }
  EXPECT_GT(seen_b, 0);
}

// Killed again and again while it writes: whatever moment it was, what is left can be read.
TEST(Slots, WhatADeadWriterLeftCanBeRead) {
  const Slots slots(1, 1);
  Slot& slot = slots.slot(1, 0);
  for (int i = 1; i <= 50; ++i) {
    slot.clear();
    Child writer([&]() -> int {
      for (;;) {
        slot.begin_reading(i);
        slot.name_request("the-id", "GET", "/path");
        slot.begin_handling();
      }
    });
    ASSERT_TRUE(wait_until([&] { return slot.snapshot().since_ns == i; }));
    writer.kill();
    const SlotRequest request = slot.snapshot();
    EXPECT_TRUE(request.state == SlotState::reading || request.state == SlotState::handling);
    EXPECT_TRUE(request.path.empty() || request.path == "/path");
  }
}

// The version count comes first in a slot and is odd while the texts are written.
TEST(Slots, ASnapshotOfAWriterThatDiedWithinTheTextsComesToAnEnd) {
  const Slots slots(1, 1);
  Slot& slot = slots.slot(1, 0);
  slot.name_request("the-id", "GET", "/path");
  slot.begin_handling();
  ++reinterpret_cast<std::atomic<std::uint32_t>&>(slot);
  EXPECT_EQ(slot.snapshot().state, SlotState::handling);
  EXPECT_EQ(slot.snapshot().path, "/path");
  slot.clear();
  EXPECT_EQ(slot.snapshot().state, SlotState::idle) << "ready for the next worker";
}

// As a worker's thread does with what it reads.
void read_in(Slot& slot, std::string_view packet, std::optional<std::size_t> noted) {
  std::copy(packet.begin(), packet.end(), slot.packet().begin());
  if (noted) {
    slot.note_received(*noted);
  }
}

std::string packet_of(std::string_view id, std::string_view path) {
  const Variable variables[] = {{"REQUEST_METHOD", "GET"}, {"PATH_INFO", path}, {"REQUEST_ID", id}};
  return wire::make_packet(0, 0, variables);
}

TEST(Slots, NameADeadWritersRequestThatWasNotParsedYet) {
  const Slots slots(1, 1);
  Slot& slot = slots.slot(1, 0);
  const std::string packet = packet_of("the-request", "/path");
  for (const std::optional<std::size_t> noted : {std::optional(packet.size()), {}}) {
    slot.begin_reading(42);
    read_in(slot, packet, noted);
    const SlotRequest request = slot.last_request();
    EXPECT_EQ(request.state, SlotState::reading);
    EXPECT_EQ(request.since_ns, 42);
    EXPECT_EQ(request.id, "the-request");
    EXPECT_EQ(request.method, "GET");
    EXPECT_EQ(request.path, "/path");
    EXPECT_FALSE(slot.between_requests(false));
    EXPECT_FALSE(slot.between_requests(true)) << "that may be its body";
  }
}

// The rest of the packet is the last request's: it would give a wrong name.
TEST(Slots, DoNotNameARequestOfWhichAPartIsMissing) {
  const Slots slots(1, 1);
  Slot& slot = slots.slot(1, 0);
  slot.begin_reading(1);
  read_in(slot, packet_of("the-last-request", "/path"), 100);
  slot.begin_reading(2);
  read_in(slot, packet_of("the-next-request", "/path").substr(0, 10), 10);
  EXPECT_EQ(slot.last_request().id, "");
  EXPECT_FALSE(slot.between_requests(true));
}

TEST(Slots, NameNoRequestThatIsNone) {
  const Slots slots(1, 1);
  Slot& slot = slots.slot(1, 0);
  slot.begin_reading(1);
  read_in(slot, "GET / HTTP/1.1\r\n", 16);
  EXPECT_EQ(slot.last_request().path, "");
  slot.begin_reading(2);
  const std::string packet = packet_of("bad", "/path");
  read_in(slot, packet, packet.size());
  EXPECT_EQ(slot.last_request().path, "/path");
  EXPECT_EQ(slot.last_request().id, "") << "it is no valid id";
}

TEST(Slots, TellWhetherAConnectionStandsBetweenTwoRequests) {
  const Slots slots(1, 1);
  Slot& slot = slots.slot(1, 0);
  EXPECT_TRUE(slot.between_requests(false));
  slot.begin_reading(1);
  EXPECT_TRUE(slot.between_requests(true)) << "nothing has been read";
  slot.name_request("the-id", "GET", "/path");
  slot.begin_handling();
  EXPECT_FALSE(slot.between_requests(true));
  slot.begin_writing(true);
  EXPECT_FALSE(slot.between_requests(false)) << "the answer may be half";
  EXPECT_TRUE(slot.between_requests(true)) << "the peer has the answer, as it asks again";
  EXPECT_FALSE(slot.answered());
  slot.end_writing();
  EXPECT_TRUE(slot.between_requests(false));
  EXPECT_TRUE(slot.answered());
  slot.begin_writing(false);
  EXPECT_FALSE(slot.answered());
  slot.end_writing();
  EXPECT_FALSE(slot.between_requests(true)) << "the peer was not offered to keep it";
  slot.finish(true);
  EXPECT_TRUE(slot.between_requests(true));
}

TEST(Slots, AreTheSameThroughAnInheritedDescriptor) {
  const Slots slots(2, 2);
  const Slots other(dup(slots.memfd()), 2, 2);
  slots.slot(2, 1).name_request("the-id", "GET", "/path");
  slots.slot(2, 1).begin_handling();
  slots.seat(2).reopened = 17;
  slots.board().leaving = true;
  EXPECT_EQ(other.slot(2, 1).snapshot().id, "the-id");
  EXPECT_EQ(other.seat(2).reopened, 17U);
  EXPECT_TRUE(other.board().leaving);
}

TEST(Slots, AreNotJoinedWhenTheMemoryIsSomethingElse) {
  const Slots slots(3, 2);
  EXPECT_THROW(Slots(dup(slots.memfd()), 2, 2), std::runtime_error) << "fewer seats";
  EXPECT_THROW(Slots(dup(slots.memfd()), 2, 3), std::runtime_error) << "more threads";
  slots.board().magic = 0;
  EXPECT_THROW(Slots(dup(slots.memfd()), 3, 2), std::runtime_error);
}

TEST(SharedMemory, SaysWhatItCouldNotBeHadFor) {
  try {
    const SharedMemory memory("a test", 4096, Descriptor(-1));
    FAIL();
  } catch (const std::system_error& error) {
    EXPECT_STREQ(error.what(), "cannot share memory for a test: Bad file descriptor");
  }
}

}  // namespace
}  // namespace forktail::server
