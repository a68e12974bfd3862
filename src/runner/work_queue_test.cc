#include "runner/work_queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>

namespace quipu::runner {
namespace {

using Place = WorkQueue::Place;

TEST(WorkQueue, DoesEveryJobOnce) {
  WorkQueue queue;
  std::atomic<int> done{0};
  std::latch all(1000);
  for (int i = 0; i < 1000; ++i)
    queue.post([&](Place& p) {
      if (done++ % 3 == 0) p.give_up();
      all.count_down();
    });
  all.wait();
  EXPECT_EQ(done, 1000);
}

// As many as there are places at a time, in the order they came.
TEST(WorkQueue, PlacesAreLimited) {
  WorkQueue queue;
  std::latch go(1), started(WorkQueue::kPlaces), end(WorkQueue::kPlaces + 1);
  std::atomic<int> running{0};
  for (size_t i = 0; i < WorkQueue::kPlaces; ++i)
    queue.post([&](Place&) {
      ++running;
      started.count_down();
      go.wait();
      --running;
      end.count_down();
    });
  std::atomic<int> seen{-1};
  queue.post([&](Place&) {
    seen = running.load();
    end.count_down();
  });
  started.wait();
  EXPECT_EQ(running, static_cast<int>(WorkQueue::kPlaces));
  EXPECT_EQ(seen, -1) << "it waits";
  go.count_down();
  end.wait();
  EXPECT_LT(seen, static_cast<int>(WorkQueue::kPlaces));
}

// Jobs that take for ever do not hold up those that do not.
TEST(WorkQueue, WhoTakesLongMakesWay) {
  WorkQueue queue;
  std::latch go(1), slow(WorkQueue::kPlaces), quick(100), over(WorkQueue::kPlaces);
  for (size_t i = 0; i < WorkQueue::kPlaces; ++i)
    queue.post([&](Place& p) {
      p.give_up();
      p.give_up();
      slow.count_down();
      go.wait();
      over.count_down();
    });
  slow.wait();
  for (int i = 0; i < 100; ++i) queue.post([&](Place&) { quick.count_down(); });
  quick.wait();
  go.count_down();
  over.wait();
}

// Even when every thread is at a slow job the next one gets its turn.
TEST(WorkQueue, MoreSlowJobsThanThreads) {
  WorkQueue queue;
  constexpr int kJobs = 5 * WorkQueue::kMaxThreads;
  std::latch all(kJobs);
  for (int i = 0; i < kJobs; ++i)
    queue.post([&](Place& p) {
      p.give_up();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      all.count_down();
    });
  all.wait();
}

TEST(WorkQueue, StopWaitsForWhatRunsAndDropsTheRest) {
  constexpr int kPlaces = WorkQueue::kPlaces;
  std::atomic<int> done{0};
  std::latch go(1), started(kPlaces);
  const auto held = std::make_shared<int>();
  WorkQueue queue;
  for (int i = 0; i < 100; ++i)
    queue.post([&, held](Place&) {
      started.count_down();
      go.wait();
      ++done;
    });
  started.wait();
  std::thread stopper([&] { queue.stop(); });
  while (held.use_count() > 1 + kPlaces) std::this_thread::yield();
  EXPECT_EQ(done, 0);
  go.count_down();
  stopper.join();
  EXPECT_EQ(done, kPlaces);
  EXPECT_EQ(held.use_count(), 1) << "what jobs hold is given back";
  queue.post([&, held](Place&) { ++done; });
  queue.stop();
  EXPECT_EQ(done, kPlaces);
  EXPECT_EQ(held.use_count(), 1);
}

TEST(WorkQueue, AJobMayPostAnother) {
  WorkQueue queue;
  std::latch end(1);
  std::function<void(int)> post = [&](int left) {
    queue.post([&, left](Place&) {
      if (left == 0)
        end.count_down();
      else
        post(left - 1);
    });
  };
  post(100);
  end.wait();
  queue.stop();
}

}  // namespace
}  // namespace quipu::runner
