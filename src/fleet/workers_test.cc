#include "fleet/workers.h"

#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <future>
#include <latch>
#include <memory>
#include <set>

namespace quipu::fleet {
namespace {

TEST(Workers, EverythingRunsAtOnce) {
  std::deque<std::latch> latches;  // outlive the threads
  Workers workers;
  std::atomic<int> done = 0;
  for (int round = 0; round < 3; ++round) {
    std::latch& together = latches.emplace_back(20);
    std::latch& left = latches.emplace_back(20);
    for (int i = 0; i < 20; ++i) {
      ASSERT_TRUE(workers.run([&] {
        together.arrive_and_wait();  // none of them waits for another's end
        ++done;
        left.count_down();
      }));
    }
    left.wait();
  }
  EXPECT_EQ(done, 60);
}

TEST(Workers, ThreadsAreUsedAgain) {
  Workers workers;
  std::set<std::thread::id> ids;
  for (bool again = false; !again;) {
    const auto id = std::make_shared<std::promise<std::thread::id>>();
    ASSERT_TRUE(workers.run([id] { id->set_value(std::this_thread::get_id()); }));
    again = !ids.insert(id->get_future().get()).second;
  }
}

TEST(Workers, TheEndWaits) {
  std::atomic<int> done = 0;
  {
    Workers workers;
    for (int i = 0; i < 10; ++i) {
      ASSERT_TRUE(workers.run([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        ++done;
      }));
    }
  }
  EXPECT_EQ(done, 10);
}

}  // namespace
}  // namespace quipu::fleet
