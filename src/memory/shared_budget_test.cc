#include "memory/shared_budget.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>
#include <vector>

namespace quipu::memory {
namespace {

std::unique_ptr<SharedBudget> make() {
  auto page = SharedBudget::create({.memory = ByteShare{.bytes = 1000}});
  EXPECT_TRUE(page) << page.error().message;
  return std::move(*page);
}

TEST(SharedBudget, AChargeIsTheFixedPartAndTheLargerOfBothCaches) {
  BudgetSlot s;
  s.fixed = 100;
  s.kv_floor = 30;
  EXPECT_EQ(s.charge(), 130u);
  s.kv = 20;
  EXPECT_EQ(s.charge(), 130u);
  EXPECT_EQ(s.rise(10), 0u);
  EXPECT_EQ(s.rise(15), 5u);
  EXPECT_EQ(s.above_floor(), 0u);
  s.kv = 50;
  EXPECT_EQ(s.charge(), 150u);
  EXPECT_EQ(s.rise(7), 7u);
  EXPECT_EQ(s.above_floor(), 20u);
}

TEST(SharedBudget, SlotsAreTakenAndCleared) {
  const auto page = make();
  for (size_t i = 0; i < SharedBudget::kSlots; ++i) ASSERT_EQ(page->take_slot(), i);
  EXPECT_FALSE(page->take_slot());
  page->slot(7).fixed = 5;
  page->slot(7).wanted = 5;
  page->slot(7).preemptions = 5;
  EXPECT_EQ(page->admitted(), 5u);
  page->clear_slot(7);
  EXPECT_EQ(page->admitted(), 0u);
  EXPECT_EQ(page->take_slot(), 7u);
  EXPECT_EQ(page->slot(7).wanted, 0u);
  EXPECT_EQ(page->slot(7).preemptions, 0u);
  EXPECT_EQ(page->admitted(), 0u);
}

TEST(SharedBudget, WhatASlotSaysIsOnlyANumber) {
  const auto page = make();
  for (int i = 0; i < 3; ++i) {
    BudgetSlot& s = page->slot(page->take_slot().value());
    s.fixed = s.kv_floor = s.kv = UINT64_MAX;
    s.pid = -1;
    EXPECT_EQ(s.rise(UINT64_MAX), 0u);
  }
  EXPECT_EQ(page->admitted(), UINT64_MAX);
  EXPECT_EQ(page->machine().free(), 0u);
}

TEST(SharedBudget, TheMachineIsSeenWithBoundsAndCharges) {
  const auto page = make();
  page->slot(page->take_slot().value()).fixed = 300;
  const Machine m = page->machine();
  EXPECT_EQ(m.budget(), 1000u);
  EXPECT_EQ(m.admitted, 300u);
  EXPECT_EQ(m.free(), 700u);
}

// As a runner gets it.
TEST(SharedBudget, AnotherProcessSeesTheSamePage) {
  const auto page = make();
  const size_t slot = page->take_slot().value();
  EXPECT_GE(page->page_descriptor(), 10);
  EXPECT_GE(page->bell_descriptor(), 10);
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(page->page_descriptor(), SharedBudget::kPageDescriptor);
    ::dup2(page->bell_descriptor(), SharedBudget::kBellDescriptor);
    auto theirs = SharedBudget::inherit();
    if (!theirs) ::_exit(1);
    (*theirs)->slot(slot).kv = 123;
    (*theirs)->ring();
    (*theirs)->ring();
    ::_exit((*theirs)->machine().budget() == 1000 ? 0 : 2);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(page->admitted(), 123u);
  uint64_t rings = 0;
  EXPECT_EQ(::read(page->bell_descriptor(), &rings, sizeof rings), static_cast<ssize_t>(sizeof rings));
  EXPECT_EQ(rings, 2u);
}

TEST(SharedBudget, WhatIsNoPageIsRefused) {
  const int null = ::open("/dev/null", O_RDWR);
  EXPECT_FALSE(SharedBudget::inherit(null, null));
  ::close(null);
  EXPECT_FALSE(SharedBudget::inherit(null, null)) << "not even open";
}

// However they interleave, together they never hold more than there is.
TEST(SharedBudget, WhoAddsFirstAndLooksThenNeverTakesTooMuch) {
  const auto page = make();
  constexpr int kThreads = 4;
  constexpr uint64_t kMost = 1000;
  std::atomic<bool> too_much = false;
  std::atomic<uint64_t> held = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    BudgetSlot& s = page->slot(page->take_slot().value());
    threads.emplace_back([&, t] {
      for (int i = 0; i < 5000; ++i) {
        const auto bytes = static_cast<uint64_t>(100 + (i * 7 + t * 131) % 400);
        s.kv = bytes;
        if (page->admitted() <= kMost) {
          if (held.fetch_add(bytes) + bytes > kMost) too_much = true;
          held.fetch_sub(bytes);
        }
        s.kv = 0;
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_FALSE(too_much);
}

}  // namespace
}  // namespace quipu::memory
