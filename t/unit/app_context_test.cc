#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <string>
#include <thread>

#include "forktail/context.h"

namespace forktail {
namespace {

constexpr std::string_view kTraceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

Context context(std::string_view id, std::string_view traceparent = {}) {
  return {id, traceparent, Worker{3, 1, 2, ForkMode::lazy}, Context::Clock::time_point::max()};
}

TEST(Context, KeepsItsOwnCopyOfTheId) {
  std::string id = "0192f0c1a2b3c4d5";
  const Context made = context(id);
  id.assign(id.size(), 'x');
  const Context copy = made;
  EXPECT_EQ(copy.id(), "0192f0c1a2b3c4d5");
  EXPECT_NE(copy.id().data(), made.id().data());
}

TEST(Context, TakesIdsOfUpTo128Characters) {
  EXPECT_EQ(context(std::string(128, 'a')).id(), std::string(128, 'a'));
  EXPECT_EQ(context(std::string(129, 'a')).id(), std::string(128, 'a'));
}

TEST(Context, TellsWorkerAndDeadline) {
  EXPECT_EQ(context("id").worker().id, 3);
  EXPECT_EQ(context("id").worker().threads, 2);
  EXPECT_EQ(context("id").deadline(), Context::Clock::time_point::max());
}

TEST(Context, SplitsTheTrace) {
  const Context traced = context("id", kTraceparent);
  EXPECT_EQ(traced.trace().trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_EQ(traced.trace().span_id, "00f067aa0ba902b7");
  EXPECT_EQ(context("id").trace().trace_id, "");
  EXPECT_EQ(context("id").trace().span_id, "");
}

TEST(Context, PropagatesTheIdAndTheTrace) {
  const auto plain = context("an-id-of-mine").propagate();
  ASSERT_EQ(plain.size(), 1U);
  EXPECT_EQ(plain[0].name, "X-Request-ID");
  EXPECT_EQ(plain[0].value, "an-id-of-mine");

  const auto traced = context("an-id-of-mine", kTraceparent).propagate();
  ASSERT_EQ(traced.size(), 2U);
  EXPECT_EQ(traced[1].name, "traceparent");
  EXPECT_EQ(traced[1].value, kTraceparent);
}

TEST(Context, PassesALaterVersionOfTraceparentOnAsVersion00) {
  std::string later(kTraceparent);
  later.replace(0, 2, "cc").append("-what-the-future-brings");
  EXPECT_EQ(context("id", later).propagate().at(1).value, kTraceparent);
}

TEST(Context, LogsWhereSpdlogDoes) {
  EXPECT_EQ(&context("id").log(), spdlog::default_logger_raw());
}

TEST(ForkModeName, IsTheWordOfTheConfiguration) {
  EXPECT_EQ(to_string(ForkMode::preload), "preload");
  EXPECT_EQ(to_string(ForkMode::lazy), "lazy");
  EXPECT_EQ(to_string(ForkMode::exec), "exec");
  EXPECT_EQ(to_string(static_cast<ForkMode>(99)), "unknown");
}

TEST(Scope, MakesAContextTheCurrentOneUntilItsEnd) {
  EXPECT_EQ(current(), nullptr);
  const Context outer = context("outer");
  {
    const Scope first(outer);
    EXPECT_EQ(current(), &outer);
    {
      const Context inner = context("inner");
      const Scope second(inner);
      EXPECT_EQ(current(), &inner);
    }
    EXPECT_EQ(current(), &outer);
  }
  EXPECT_EQ(current(), nullptr);
}

TEST(Scope, IsOfOneThread) {
  const Context mine = context("mine");
  const Scope scope(mine);
  std::thread([copy = mine] {
    EXPECT_EQ(current(), nullptr);
    const Scope carried(copy);
    EXPECT_EQ(current()->id(), "mine");
  }).join();
  EXPECT_EQ(current(), &mine);
}

}  // namespace
}  // namespace forktail
