#include "server/work_pool.h"

#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <new>
#include <vector>

namespace quipu::server {
namespace {

TEST(WorkPool, BeginsInOrder) {
  std::vector<int> order;
  std::promise<void> done;
  WorkPool pool(1);
  for (int i = 0; i < 5; ++i) pool.post([&, i] { order.push_back(i); });
  pool.post([&] { done.set_value(); });
  done.get_future().wait();
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4}));
}

TEST(WorkPool, WhatIsThrownEndsThatWorkAlone) {
  std::promise<void> done;
  const auto held = std::make_shared<int>(1);
  WorkPool pool(1);
  pool.post([held] { throw std::bad_alloc(); });
  pool.post([&] { done.set_value(); });
  done.get_future().wait();
  EXPECT_EQ(held.use_count(), 1) << "what the work held is let go";
}

TEST(WorkPool, TheEndDropsWhatHasNotBegun) {
  std::promise<void> begun, go_on;
  bool ran = false;
  const auto held = std::make_shared<int>(1);
  auto pool = std::make_unique<WorkPool>(1);
  pool->post([&] {
    begun.set_value();
    go_on.get_future().wait();
  });
  begun.get_future().wait();
  pool->post([&ran, held] { ran = true; });
  std::thread end([&] { pool.reset(); });
  while (held.use_count() > 1) std::this_thread::yield();
  go_on.set_value();
  end.join();
  EXPECT_FALSE(ran);
}

}  // namespace
}  // namespace quipu::server
