#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <vector>

#include "server/dispatch/kept_table.h"
#include "server_support.h"

namespace forktail::server {
namespace {

constexpr std::uint32_t kA = 1024;
constexpr std::uint32_t kB = 2048;

TEST(KeptTable, IsEmptyAtFirst) {
  const KeptTable table({100, 3}, 2);
  for (std::uint32_t slot = 0; slot < 3; ++slot) {
    EXPECT_EQ(table.holder(slot), KeptTable::kFree);
    EXPECT_EQ(table.descriptor(slot), 100 + static_cast<int>(slot));
  }
}

TEST(KeptTable, MemoryThatIsSomethingElseIsNotJoined) {
  const KeptNumbers numbers{100, 3};
  KeptTable table(numbers, 2);
  const auto join = [&](KeptNumbers as, int seats) {
    const KeptTable joined(dup(table.memfd()), as, seats);
  };
  EXPECT_NO_THROW(join(numbers, 2));
  EXPECT_THROW(join({100, 2}, 2), std::runtime_error);
  EXPECT_THROW(join(numbers, 1), std::runtime_error);
  const std::uint32_t other = 0;
  ASSERT_EQ(pwrite(table.memfd(), &other, sizeof(other), 0), sizeof(other));
  EXPECT_THROW(join(numbers, 2), std::runtime_error);
  table.restore_board();
  EXPECT_NO_THROW(join(numbers, 2));
}

TEST(KeptTable, OnlyASlotThatWasTakenIsSound) {
  KeptTable table({100, 3}, 2);
  EXPECT_FALSE(table.sound({0, 1}));
  const auto id = table.allocate(kA);
  ASSERT_TRUE(id);
  EXPECT_TRUE(table.sound(*id));
  EXPECT_FALSE(table.sound({3, 1})) << "there is no such slot";
  EXPECT_FALSE(table.sound({id->slot, id->version + 1})) << "of a free slot";
}

// Or the letter about an honest worker's next connection would look like a lie.
TEST(KeptTable, AVersionInUseIsOddWhateverWasWrittenOverTheSlot) {
  constexpr off_t kFirstSlot = 64;  // behind the board
  KeptTable table({100, 1}, 2);
  for (const std::uint32_t version : {0U, 6U, 7U, 0xfffffffeU, 0xffffffffU}) {
    const std::uint64_t free_slot = std::uint64_t{version} << 32 | KeptTable::kFree;
    ASSERT_EQ(pwrite(table.memfd(), &free_slot, sizeof(free_slot), kFirstSlot), sizeof(free_slot));
    const auto id = table.allocate(kA);
    ASSERT_TRUE(id) << version;
    EXPECT_TRUE(table.sound(*id)) << version;
    table.free({0, version});
    EXPECT_EQ(table.current(0).version % 2, 0) << version;
  }
}

TEST(KeptTable, AFullTableHasNoRoomUntilASlotIsFreed) {
  KeptTable table({100, 2}, 2);
  const auto first = table.allocate(kA);
  const auto second = table.allocate(kA);
  ASSERT_TRUE(first && second);
  EXPECT_NE(first->slot, second->slot);
  EXPECT_FALSE(table.allocate(kB));
  table.free(*first);
  const auto third = table.allocate(kB);
  ASSERT_TRUE(third);
  EXPECT_EQ(third->slot, first->slot);
  EXPECT_EQ(table.holder(third->slot), kB);
}

TEST(KeptTable, NoVersionComesTwiceAndNoneIsZero) {
  KeptTable table({100, 1}, 2);
  std::uint32_t last = 0;
  for (int i = 0; i < 100; ++i) {
    const auto id = table.allocate(kA);
    ASSERT_TRUE(id);
    EXPECT_GT(id->version, last);
    EXPECT_TRUE(table.is_current(*id));
    last = id->version;
    table.free(*id);
    EXPECT_FALSE(table.is_current(*id));
  }
}

TEST(KeptTable, OnlyAnIdleSlotCanBeClaimed) {
  KeptTable table({100, 1}, 2);
  const auto id = table.allocate(kA);
  EXPECT_FALSE(table.claim(*id, kB)) << "it is owned";
  table.release(*id, 7, true);
  EXPECT_EQ(table.deadline_ns(0), 7);
  EXPECT_TRUE(table.fresh(0));
  EXPECT_TRUE(table.claim(*id, kB));
  EXPECT_EQ(table.holder(0), kB);
  EXPECT_FALSE(table.claim(*id, kA)) << "it is owned by the other now";
}

TEST(KeptTable, AStaleVersionClaimsNothingAndHarmsNothing) {
  KeptTable table({100, 1}, 2);
  const auto old = table.allocate(kA);
  table.free(*old);
  EXPECT_FALSE(table.claim(*old, kB)) << "it is free";
  const auto now = table.allocate(kA);
  table.release(*now, 0, false);
  EXPECT_FALSE(table.claim(*old, kB)) << "it is another connection";
  EXPECT_EQ(table.holder(0), KeptTable::kIdle);
  EXPECT_TRUE(table.claim(*now, kB));
}

TEST(KeptTable, OnlyTheFirstNoticeIsTheFirst) {
  KeptTable table({100, 1}, 2);
  const auto id = table.allocate(kA);
  EXPECT_TRUE(table.mark_given_back(*id));
  EXPECT_FALSE(table.mark_given_back(*id));
  table.free(*id);
  EXPECT_TRUE(table.mark_given_back(*table.allocate(kA))) << "another connection";
}

TEST(KeptTable, KnowsThePeerOfAConnectionAsLongAsItIsThatConnection) {
  KeptTable table({100, 2}, 2);
  const auto id = table.allocate(kA);
  const auto other = table.allocate(kA);
  table.set_peer(*id, {true, "CN=client,O=Example"});
  EXPECT_EQ(table.peer(*id).subject, "CN=client,O=Example");
  EXPECT_TRUE(table.peer(*id).last);
  EXPECT_EQ(table.peer(*other).subject, "");
  const std::string longest(TlsPeer::kMostSubject, 's');
  table.set_peer(*other, {false, longest});
  EXPECT_EQ(table.peer(*other).subject, longest);
  table.free(*id);
  EXPECT_EQ(table.peer(*table.allocate(kA)).subject, "") << "another connection";
}

TEST(KeptTable, KnowsWhichSeatsHaveAWorker) {
  KeptTable table({100, 1}, 2);
  table.set_occupied(2, true);
  EXPECT_TRUE(table.occupied(2));
  EXPECT_FALSE(table.occupied(1));
  table.set_occupied(2, false);
  EXPECT_FALSE(table.occupied(2));
}

TEST(KeptTable, IsTheSameThroughAnInheritedDescriptor) {
  KeptTable table({100, 4}, 2);
  const auto id = table.allocate(kA);
  KeptTable other(dup(table.memfd()), {100, 4}, 2);
  EXPECT_EQ(other.holder(id->slot), kA);
  other.set_occupied(2, true);
  other.set_peers_keep(true);
  EXPECT_TRUE(table.occupied(2));
  EXPECT_TRUE(table.peers_keep());
}

// Each process claims and releases one connection again and again. The count, which only an owner
// may touch, is not atomic: two owners at once would lose increments.
TEST(KeptTable, ProcessesThatRaceForAConnectionOwnItInTurn) {
  constexpr int kProcesses = 4;
  constexpr int kTurns = 20'000;
  KeptTable table({100, 1}, kProcesses);
  const SharedMemory memory("a count", sizeof(long));
  auto* count = reinterpret_cast<volatile long*>(memory.base());
  const auto id = table.allocate(kA);
  table.release(*id, 0, false);
  std::vector<std::unique_ptr<Child>> children;
  for (int i = 1; i <= kProcesses; ++i) {
    children.push_back(std::make_unique<Child>([&, i] {
      for (int turn = 0; turn < kTurns;) {
        if (table.claim(*id, kA * static_cast<std::uint32_t>(i))) {
          *count = *count + 1;
          table.release(*id, 0, false);
          ++turn;
        }
      }
      return 0;
    }));
  }
  for (const auto& child : children) {
    EXPECT_EQ(child->join(), 0);
  }
  EXPECT_EQ(*count, kProcesses * kTurns);
}

TEST(KeptTable, ProcessesThatAllocateAtOnceGetSlotsOfTheirOwn) {
  constexpr std::uint32_t kProcesses = 4;
  constexpr int kEach = 64;
  KeptTable table({100, kProcesses * kEach}, kProcesses);
  std::vector<std::unique_ptr<Child>> children;
  for (std::uint32_t i = 1; i <= kProcesses; ++i) {
    children.push_back(std::make_unique<Child>([&, i] {
      for (int n = 0; n < kEach; ++n) {
        if (!table.allocate(kA * i)) {
          return 1;
        }
      }
      return 0;
    }));
  }
  for (const auto& child : children) {
    EXPECT_EQ(child->join(), 0);
  }
  std::vector<int> of(kProcesses + 1);
  for (std::uint32_t slot = 0; slot < kProcesses * kEach; ++slot) {
    ++of.at(table.holder(slot) / kA);
  }
  EXPECT_EQ(of, (std::vector<int>{0, kEach, kEach, kEach, kEach}));
}

}  // namespace
}  // namespace forktail::server
