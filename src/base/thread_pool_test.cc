#include "base/thread_pool.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace quipu {
namespace {

TEST(ThreadPool, EveryPartRunsOnce) {
  for (int threads : {1, 2, 3, 8}) {
    auto pool = ThreadPool::create(threads);
    ASSERT_TRUE(pool.has_value());
    for (int parts : {0, 1, 2, 7, 1000}) {
      std::vector<std::atomic<int>> count(static_cast<size_t>(parts));
      (*pool)->run(parts, [&](int part, int worker) {
        EXPECT_GE(worker, 0);
        EXPECT_LT(worker, threads);
        ++count[static_cast<size_t>(part)];
      });
      for (const auto& c : count) EXPECT_EQ(c.load(), 1);
    }
  }
}

TEST(ThreadPool, ManyShortJobsInARow) {
  auto pool = ThreadPool::create(4);
  ASSERT_TRUE(pool.has_value());
  int64_t sum = 0;
  for (int job = 0; job < 20000; ++job) {
    std::atomic<int> n{0};
    (*pool)->run(5, [&](int part, int) { n += part; });
    sum += n;
  }
  EXPECT_EQ(sum, 20000 * 10);
}

TEST(ThreadPool, WorkersDoNotShareANumberAtOneTime) {
  auto pool = ThreadPool::create(4);
  ASSERT_TRUE(pool.has_value());
  std::vector<std::atomic<int>> busy(4);
  for (int job = 0; job < 200; ++job)
    (*pool)->run(64, [&](int, int worker) {
      EXPECT_EQ(busy[static_cast<size_t>(worker)].fetch_add(1), 0);
      busy[static_cast<size_t>(worker)].fetch_sub(1);
    });
}

// A worker that wakes for a job may find it over and the pool about to end.
TEST(ThreadPool, EndsRightAfterAJob) {
  for (int i = 0; i < 3000; ++i) {
    auto pool = ThreadPool::create(3);
    ASSERT_TRUE(pool.has_value());
    for (int job = 0; job < i % 4; ++job) (*pool)->run(2, [](int, int) {});
  }
}

TEST(ThreadPool, ActiveLimitsTheWorkers) {
  auto pool = ThreadPool::create(4);
  ASSERT_TRUE(pool.has_value());
  (*pool)->set_active(2);
  EXPECT_EQ((*pool)->active(), 2);
  for (int job = 0; job < 100; ++job) (*pool)->run(32, [&](int, int worker) { EXPECT_LT(worker, 2); });
  (*pool)->set_active(100);
  EXPECT_EQ((*pool)->active(), 4);
  (*pool)->set_active(-1);
  EXPECT_EQ((*pool)->active(), 1);
}

// Not a timing: processor time used by this process while the pool has nothing to do.
TEST(ThreadPool, AnIdlePoolUsesNoProcessor) {
  auto pool = ThreadPool::create(4);
  ASSERT_TRUE(pool.has_value());
  (*pool)->run(64, [](int, int) {});
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  const auto used = [] {
    rusage u{};
    getrusage(RUSAGE_SELF, &u);
    return u.ru_utime.tv_sec * 1e6 + static_cast<double>(u.ru_utime.tv_usec) + u.ru_stime.tv_sec * 1e6 +
           static_cast<double>(u.ru_stime.tv_usec);
  };
  const double before = used();
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_LT(used() - before, 30'000) << "microseconds of 4 threads in 300 ms of idling";
}

TEST(ThreadPool, AnImpossibleSizeIsAnError) { EXPECT_FALSE(ThreadPool::create(0).has_value()); }

TEST(ThreadPool, DefaultIsAtLeastOne) { EXPECT_GE(default_thread_count(), 1); }

}  // namespace
}  // namespace quipu
