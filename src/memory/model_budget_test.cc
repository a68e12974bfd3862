#include "memory/model_budget.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

namespace quipu::memory {
namespace {

using std::chrono::milliseconds;
constexpr uint64_t kKiB = 1024;

// A machine of a made-up /proc, two models under one budget.
class ModelBudgetTest : public testing::Test {
 protected:
  void SetUp() override {
    root_ = (std::filesystem::temp_directory_path() / ("quipu-budget-" + std::to_string(getpid()))).string();
    std::filesystem::create_directories(root_ + "/proc");
    set_available(1000);
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  void set_available(uint64_t kib) {
    std::ofstream(root_ + "/proc/meminfo") << "MemTotal: 4000 kB\nMemAvailable: " << kib << " kB\n";
  }
  std::unique_ptr<ModelBudget> alone(uint64_t reserve_kib) const {
    auto b = ModelBudget::alone({.reserve = ByteShare{.bytes = reserve_kib * kKiB}}, root_);
    EXPECT_TRUE(b) << b.error().message;
    return std::move(*b);
  }

  std::string root_;
};

TEST_F(ModelBudgetTest, ALoadIsAdmittedOrNot) {
  const auto b = alone(100);
  EXPECT_FALSE(b->admit(800 * kKiB, 101 * kKiB));
  EXPECT_EQ(b->machine().admitted, 0u);
  EXPECT_TRUE(b->admit(800 * kKiB, 100 * kKiB));
  EXPECT_EQ(b->machine().admitted, 900 * kKiB);
  EXPECT_EQ(b->machine().free(), 0u);
}

TEST_F(ModelBudgetTest, TheCacheGrowsWithinTheBudget) {
  const auto b = alone(100);
  ASSERT_TRUE(b->admit(500 * kKiB, 100 * kKiB));
  EXPECT_EQ(b->room(), 400 * kKiB);
  EXPECT_TRUE(b->hold(100 * kKiB));
  EXPECT_EQ(b->machine().admitted, 600 * kKiB) << "that was promised and charged";
  EXPECT_TRUE(b->hold(300 * kKiB));
  EXPECT_EQ(b->machine().admitted, 800 * kKiB);
  EXPECT_EQ(b->room(), 100 * kKiB);
  EXPECT_FALSE(b->hold(401 * kKiB));
  EXPECT_EQ(b->machine().admitted, 800 * kKiB) << "what it has it keeps";
  EXPECT_TRUE(b->hold(400 * kKiB));
  EXPECT_EQ(b->room(), 0u);
  EXPECT_TRUE(b->hold(0));
  EXPECT_EQ(b->room(), 400 * kKiB);
  EXPECT_EQ(b->machine().admitted, 600 * kKiB) << "a loaded model is always charged a useful sequence";
}

TEST_F(ModelBudgetTest, WhatWasPromisedMayComeOutOfTheReserve) {
  const auto b = alone(100);
  ASSERT_TRUE(b->admit(500 * kKiB, 100 * kKiB));
  set_available(650);  // somebody else takes memory: the budget is smaller than what was admitted
  std::this_thread::sleep_for(milliseconds(50));  // what it had read last may be believed that long
  EXPECT_TRUE(b->hold(100 * kKiB));
  EXPECT_FALSE(b->hold(101 * kKiB));
  EXPECT_TRUE(b->hold(0));
  set_available(599);                             // not even that is there
  std::this_thread::sleep_for(milliseconds(50));  // what it had read last may be believed that long
  EXPECT_FALSE(b->hold(100 * kKiB));
  EXPECT_EQ(b->room(), 0u);
  set_available(1000);
  EXPECT_TRUE(b->hold(100 * kKiB)) << "looks again before it refuses";
}

TEST_F(ModelBudgetTest, NobodyGrowsIntoWhatAnotherWasPromised) {
  auto page = SharedBudget::create({.memory = ByteShare{.bytes = 900 * kKiB}}, root_);
  ASSERT_TRUE(page);
  const size_t slot = (*page)->take_slot().value(), other = (*page)->take_slot().value();
  SharedBudget& shared = **page;
  ModelBudget mine(std::move(*page), slot, false, root_);
  ASSERT_TRUE(mine.admit(300 * kKiB, 50 * kKiB));
  BudgetSlot& theirs = shared.slot(other);
  theirs.fixed = 300 * kKiB;
  theirs.kv_floor = 200 * kKiB;
  EXPECT_EQ(mine.room(), 100 * kKiB);
  EXPECT_FALSE(mine.hold(101 * kKiB));
  EXPECT_TRUE(mine.hold(100 * kKiB));
  theirs.kv = 250 * kKiB;  // grew at the same moment
  EXPECT_EQ(mine.room(), 0u);
  EXPECT_FALSE(mine.hold(101 * kKiB));
  EXPECT_TRUE(mine.hold(90 * kKiB));
  shared.clear_slot(other);
  EXPECT_TRUE(mine.hold(600 * kKiB));
}

TEST_F(ModelBudgetTest, WhoCannotGoOnGivesAwayWhatItWasPromised) {
  auto page = SharedBudget::create({.memory = ByteShare{.bytes = 900 * kKiB}}, root_);
  ASSERT_TRUE(page);
  const size_t slot = (*page)->take_slot().value(), other = (*page)->take_slot().value();
  SharedBudget& shared = **page;
  ModelBudget mine(std::move(*page), slot, true, root_);
  ASSERT_TRUE(mine.admit(300 * kKiB, 100 * kKiB));
  EXPECT_FALSE(mine.give_way(50 * kKiB)) << "nobody else has anything";
  BudgetSlot& theirs = shared.slot(other);
  theirs.fixed = 300 * kKiB;
  theirs.kv = 200 * kKiB;
  ASSERT_TRUE(mine.give_way(1000 * kKiB)) << "when they are done they can be unloaded";
  EXPECT_EQ(shared.admitted(), 800 * kKiB) << "what it was promised is theirs now";
  theirs.kv = 250 * kKiB;
  EXPECT_FALSE(mine.come_back());
  EXPECT_EQ(shared.admitted(), 850 * kKiB);
  EXPECT_FALSE(mine.hold(100 * kKiB)) << "a promise that was given away is none";
  EXPECT_EQ(mine.room(), 50 * kKiB);

  theirs.waits =
      1;  // neither goes on: somebody has to end, unless what it needs is there without the other's
  EXPECT_FALSE(mine.give_way(301 * kKiB));
  EXPECT_TRUE(mine.give_way(300 * kKiB));
  theirs.kv = 200 * kKiB;
  EXPECT_TRUE(mine.come_back());
  EXPECT_EQ(shared.admitted(), 900 * kKiB);
  EXPECT_EQ(shared.slot(slot).waits, 0u);
}

TEST_F(ModelBudgetTest, WhoHasNoServerWaitsForNobody) {
  const auto b = alone(0);
  ASSERT_TRUE(b->admit(300 * kKiB, 100 * kKiB));
  EXPECT_FALSE(b->give_way(1));
}

TEST_F(ModelBudgetTest, AsksWhoeverCanMakeOthersGiveWay) {
  EXPECT_FALSE(alone(0)->ask(5)) << "there is nobody";
  auto page = SharedBudget::create({}, root_);
  ASSERT_TRUE(page);
  SharedBudget& shared = **page;
  const size_t slot = shared.take_slot().value();
  ModelBudget b(std::move(*page), slot, true, root_);
  std::thread server([&] {
    pollfd bell{.fd = shared.bell_descriptor(), .events = POLLIN, .revents = 0};
    ASSERT_EQ(::poll(&bell, 1, 10'000), 1);
    EXPECT_EQ(shared.slot(slot).wanted, 5u);
    ++shared.slot(slot).answers;
  });
  EXPECT_TRUE(b.ask(5, std::chrono::hours(1)));
  server.join();
  EXPECT_EQ(shared.slot(slot).wanted, 0u);
  EXPECT_TRUE(b.ask(5, milliseconds(1))) << "gives up waiting";
}

}  // namespace
}  // namespace quipu::memory
