#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#include "ngx_module/queue_fifo.h"

ngx_uint_t ngx_pagesize = 1;
void* ngx_slab_calloc(ngx_slab_pool_t* pool, size_t size) { return memset(pool + 1, 0, size); }
void ngx_shmtx_lock(ngx_shmtx_t*) {}
void ngx_shmtx_unlock(ngx_shmtx_t*) {}

namespace forktail {
namespace {

constexpr ngx_uint_t kDying = 0;
constexpr ngx_uint_t kLiving = 1;
constexpr ngx_uint_t kDead = 2;

struct Zone {
  ngx_slab_pool_t pool;
  unsigned char room[5 * 4096];

  QueueFifo* fifo() { return reinterpret_cast<QueueFifo*>(&pool + 1); }
};

// Runs `change` in another process, and calls `look` after each of its instructions that has
// changed `zone`.
void at_each_moment(const Zone& zone, const std::function<void()>& change,
                    const std::function<void()>& look) {
  const pid_t pid = fork();
  if (pid == 0) {
    if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) {
      _exit(1);
    }
    raise(SIGSTOP);
    change();
    _exit(0);
  }
  const auto seen = std::make_unique<Zone>(zone);
  int status;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  while (WIFSTOPPED(status)) {
    if (memcmp(seen.get(), &zone, sizeof(zone)) != 0) {
      *seen = zone;
      look();
    }
    ASSERT_EQ(ptrace(PTRACE_SINGLESTEP, pid, nullptr, nullptr), 0);
    ASSERT_EQ(waitpid(pid, &status, 0), pid);
  }
  ASSERT_EQ(status, 0);
}

class QueueFifoDeath : public testing::Test {
 protected:
  void SetUp() override {
    void* memory =
        mmap(nullptr, sizeof(Zone), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
    zone_ = new (memory) Zone{{.pfree = QueueFifo::bytes_for(12), .mutex = {}}, {}};
    fifo_ = QueueFifo::create(&zone_->pool);
    ASSERT_EQ(fifo_, zone_->fifo());
    fifo_->configure(2, 10);
  }
  void TearDown() override { munmap(zone_, sizeof(Zone)); }

  void enter(ngx_uint_t seat) {
    QueueFifo::Place place = QueueFifo::kNone;
    fifo_->enter(seat, &place);
    if (place != QueueFifo::kNone) {
      (seat == kLiving ? waiting_ : others_).push_back(place);
    } else if (seat == kLiving) {
      active_++;
    }
  }

  // Both are at the backend, and both wait in turns.
  void fill() {
    for (const ngx_uint_t seat : {kDying, kLiving, kDying, kLiving, kDying, kLiving}) {
      enter(seat);
    }
  }

  // `change` may end after any of its instructions, and the living process has its rights.
  void dies_in(const std::function<void()>& change) {
    int moments = 0;
    at_each_moment(*zone_, change, [&] {
      moments++;
      Zone copy = *zone_;
      expect_rights_after_reclaim(copy.fifo());
      copy = *zone_;
      expect_rights_before_reclaim(copy.fifo());
    });
    EXPECT_GT(moments, 2);
  }

  void expect_rights_after_reclaim(QueueFifo* fifo) const {
    fifo->reclaim(kDead, 0);
    fifo->reclaim(kDying, 0);
    const QueueFifo::Status status = fifo->status();
    EXPECT_EQ(status.active + status.waiting, active_ + waiting_.size());
    EXPECT_EQ(status.active, std::min<size_t>(status.limit, active_ + waiting_.size()));
    size_t active = active_;
    for (const QueueFifo::Place place : waiting_) {  // in their order
      while (!fifo->collect(place)) {
        ASSERT_GT(active--, 0U);
        fifo->leave(kLiving);
      }
      active++;
    }
    for (; active > 0; active--) {
      fifo->leave(kLiving);
    }
    expect_empty(fifo);
  }

  void expect_rights_before_reclaim(QueueFifo* fifo) const {
    for (size_t i = 0; i < active_; i++) {
      fifo->leave(kLiving);
    }
    for (const QueueFifo::Place place : waiting_) {
      if (fifo->collect(place)) {
        fifo->leave(kLiving);
      } else {
        fifo->abandon(place, QueueFifo::Exit::kLeft);
      }
    }
    fifo->reclaim(kDying, 0);
    fifo->reclaim(kDead, 0);
    expect_empty(fifo);
  }

  static void expect_empty(QueueFifo* fifo) {
    EXPECT_EQ(fifo->status().active, 0U);
    EXPECT_EQ(fifo->status().waiting, 0U);
    for (const ngx_uint_t seat : {kDying, kLiving, kDead}) {
      EXPECT_FALSE(fifo->holds(seat));
    }
    fifo->configure(0, fifo->capacity());
    QueueFifo::Place place;
    for (ngx_uint_t i = 0; i < fifo->capacity(); i++) {
      ASSERT_EQ(fifo->enter(kLiving, &place), QueueFifo::Entry::kWaiting);
    }
    EXPECT_EQ(fifo->enter(kLiving, &place), QueueFifo::Entry::kFull);
  }

  Zone* zone_;
  QueueFifo* fifo_;
  size_t active_ = 0;  // of the living process
  std::vector<QueueFifo::Place> waiting_;
  std::vector<QueueFifo::Place> others_;
};

TEST_F(QueueFifoDeath, WhileARequestIsAdmitted) {
  enter(kLiving);
  dies_in([this] { enter(kDying); });
}

TEST_F(QueueFifoDeath, WhileARequestBeginsToWait) {
  fill();
  dies_in([this] { enter(kDying); });
}

TEST_F(QueueFifoDeath, WhileItLetsAnotherRequestOfItsOwnGo) {
  fill();
  dies_in([this] { fifo_->leave(kDying); });
}

TEST_F(QueueFifoDeath, WhileItLetsARequestOfAnotherProcessGo) {
  fill();
  fifo_->abandon(others_[0], QueueFifo::Exit::kLeft);
  dies_in([this] { fifo_->leave(kDying); });
}

TEST_F(QueueFifoDeath, WhileTheFirstInTheLineIsAbandoned) {
  fill();
  dies_in([this] { fifo_->abandon(others_[0], QueueFifo::Exit::kLeft); });
}

TEST_F(QueueFifoDeath, WhileOneInTheMiddleOfTheLineIsAbandoned) {
  fill();
  dies_in([this] { fifo_->abandon(others_[1], QueueFifo::Exit::kLeft); });
}

TEST_F(QueueFifoDeath, WhileTheLastInTheLineIsAbandoned) {
  fill();
  enter(kDying);
  dies_in([this] { fifo_->abandon(others_[2], QueueFifo::Exit::kLeft); });
}

TEST_F(QueueFifoDeath, WhileARequestIsCollected) {
  fill();
  fifo_->leave(kDying);
  dies_in([this] { fifo_->collect(others_[0]); });
}

TEST_F(QueueFifoDeath, WhileARequestIsAbandonedThatMayGo) {
  fill();
  fifo_->leave(kDying);
  dies_in([this] { fifo_->abandon(others_[0], QueueFifo::Exit::kTimedOut); });
}

TEST_F(QueueFifoDeath, WhileItReclaims) {
  enter(kDead);
  enter(kLiving);
  for (const ngx_uint_t seat : {kDead, kLiving, kDead, kDying, kLiving, kDead}) {
    enter(seat);
  }
  dies_in([this] { fifo_->reclaim(kDead, 0); });
}

TEST_F(QueueFifoDeath, WhatTheProcessOfAnOldEpochLeftIsReclaimedAndNothingOfALaterOne) {
  fifo_->settle(kDying, 5);
  enter(kDying);
  fifo_->reclaim(kDying, 4);
  EXPECT_EQ(fifo_->status().active, 1U);
  EXPECT_EQ(fifo_->epoch(kDying), 5U);
  fifo_->reclaim(kDying, 5);
  EXPECT_EQ(fifo_->status().active, 0U);
  enter(kDying);
  fifo_->settle(kDying, 6);  // whoever sits down there next
  EXPECT_EQ(fifo_->status().active, 0U);
}

class QueueFifoScribbled : public QueueFifoDeath {
 protected:
  // As whatever writes over the zone.
  void scribble() { memset(static_cast<void*>(fifo_), 0xff, sizeof(QueueFifo)); }
};

TEST_F(QueueFifoScribbled, AWorkerThatFindsSomethingElseEndsAtOnce) {
  EXPECT_TRUE(fifo_->sound());
  scribble();
  EXPECT_FALSE(fifo_->sound());
  EXPECT_EXIT(enter(kLiving), testing::KilledBySignal(SIGABRT), "");
  EXPECT_EXIT(fifo_->leave(kLiving), testing::KilledBySignal(SIGABRT), "");
}

TEST_F(QueueFifoScribbled, TheMasterGoesOn) {
  scribble();
  const QueueFifo before = *fifo_;
  fifo_->configure(1, 1);
  EXPECT_EQ(
      memcmp(static_cast<const void*>(&before), static_cast<const void*>(fifo_), sizeof(before)),
      0);
}

}  // namespace
}  // namespace forktail
