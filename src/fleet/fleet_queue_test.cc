// Jobs that wait: places, limits, cancelling, many at once.
#include <random>
#include <thread>

#include "fleet/fleet_fixture.h"

namespace quipu::fleet {
namespace {

using test::eventually;
using test::OutcomePtr;
using Queue = test::FleetTest;

constexpr const char* kBusy = "server busy, please try again.  maximum pending requests exceeded";

TEST_F(Queue, PlacesAreGivenInOrder) {
  options_.n_parallel = 2;
  const ModelRef m = model("m");
  std::vector<OutcomePtr> jobs;
  for (int i = 0; i < 5; ++i) jobs.push_back(hold(m, std::to_string(i)));
  ASSERT_TRUE(jobs[0]->wait_running());
  ASSERT_TRUE(jobs[1]->wait_running());
  auto now = shown("m");
  EXPECT_EQ(now->running, 2u);
  EXPECT_EQ(now->waiting, 3u);
  EXPECT_EQ(fleet().n_waiting(), 3u);
  touch("1");
  ASSERT_TRUE(jobs[2]->wait_running());
  touch("2");
  ASSERT_TRUE(jobs[3]->wait_running());
  EXPECT_TRUE(jobs[0]->running());
  EXPECT_FALSE(jobs[4]->running());
  for (const char* file : {"0", "3", "4"}) touch(file);
  for (const OutcomePtr& job : jobs) EXPECT_TRUE(job->well());
  EXPECT_LE((*jobs[4]->wait())["most_active"].get<int>(), 2);
  const auto order = started();
  EXPECT_EQ(std::vector(order.begin() + 2, order.end()), (std::vector<std::string>{"2", "3", "4"}));
}

TEST_F(Queue, LightJobsTakeNoPlace) {
  options_.n_parallel = 1;
  const ModelRef m = model("m");
  const OutcomePtr running = hold(m, "go");
  ASSERT_TRUE(running->wait_running());
  const OutcomePtr waiting = submit(m);
  EXPECT_TRUE(submit(m, {}, {}, 0, true)->well());
  // While one runs there is still a place for others, and only for one of them.
  const OutcomePtr light = submit(m, {{"hold", path("light")}}, {}, 0, true);
  ASSERT_TRUE(light->wait_running());
  touch("go");
  EXPECT_TRUE(running->well());
  EXPECT_TRUE(waiting->well());
  const OutcomePtr next = hold(m, "next");
  ASSERT_TRUE(next->wait_running());
  EXPECT_FALSE(submit(m)->over());
  fleet().expire(m.model_path);
  touch("next");
  EXPECT_TRUE(next->well());
  EXPECT_FALSE(light->over()) << "it keeps its model loaded";
  touch("light");
  EXPECT_TRUE(light->well());
}

TEST_F(Queue, TheLimitIsOverAllModels) {
  options_.max_queue = 1;
  const OutcomePtr a = submit(model("a", {{"wait_for", path("go")}}));  // in hand
  const OutcomePtr b = submit(model("b")), c = submit(model("c"));
  const Failure why = c->why();
  EXPECT_EQ(why.code, Code::kUnavailable);
  EXPECT_EQ(why.message, kBusy);
  EXPECT_FALSE(b->over());
  touch("go");
  EXPECT_TRUE(a->well());
  EXPECT_TRUE(b->well());
}

TEST_F(Queue, TheLimitHoldsForPlacesToo) {
  options_.max_queue = 1;
  options_.n_parallel = 1;
  const ModelRef m = model("m");
  const OutcomePtr running = hold(m, "go");
  ASSERT_TRUE(running->wait_running());
  const OutcomePtr waiting = submit(m), refused = submit(m);
  EXPECT_EQ(refused->why().message, kBusy);
  fleet().cancel(waiting->ticket);
  EXPECT_EQ(waiting->why().code, Code::kCancelled);
  const OutcomePtr next = submit(m);
  touch("go");
  EXPECT_TRUE(running->well());
  EXPECT_TRUE(next->well());
}

TEST_F(Queue, FiveForAnUnloadedModel) {
  options_.max_queue = 1;
  const ModelRef m = model("m", {{"wait_for", path("go")}});
  std::vector<OutcomePtr> jobs;
  for (int i = 0; i < 5; ++i) jobs.push_back(submit(m));
  for (int i = 2; i < 5; ++i) EXPECT_EQ(jobs[i]->why().message, kBusy);
  touch("go");
  EXPECT_TRUE(jobs[0]->well());
  EXPECT_TRUE(jobs[1]->well());
}

TEST_F(Queue, NoQueueAtAll) {
  options_.max_queue = 0;
  options_.n_parallel = 2;
  const ModelRef m = model("m");
  const OutcomePtr a = hold(m, "go");
  ASSERT_TRUE(a->wait_running());
  const OutcomePtr b = hold(m, "go");
  ASSERT_TRUE(b->wait_running());
  EXPECT_EQ(submit(m)->why().message, kBusy);
  touch("go");
  EXPECT_TRUE(a->well());
  EXPECT_TRUE(b->well());
}

TEST_F(Queue, CancellingOneThatRuns) {
  const ModelRef m = model("m");
  const OutcomePtr job = hold(m, "never"), other = hold(m, "go");
  ASSERT_TRUE(job->wait_running());
  ASSERT_TRUE(other->wait_running());
  fleet().cancel(job->ticket);
  const Failure why = job->why();
  EXPECT_EQ(why.code, Code::kCancelled);
  EXPECT_EQ(why.message, "request canceled");
  EXPECT_TRUE(eventually([&] { return log_of("m").ends_with("cancelled\n"); }));  // the runner was hung up on
  EXPECT_TRUE(other->running());
  touch("go");
  EXPECT_TRUE(other->well());
  fleet().cancel(other->ticket);  // too late
  fleet().cancel(12345);
  EXPECT_TRUE(submit(m)->well());
}

TEST_F(Queue, CancellingOneThatWaitsForAPlace) {
  options_.n_parallel = 1;
  const ModelRef m = model("m");
  const OutcomePtr first = hold(m, "go"), second = submit(m), third = submit(m);
  ASSERT_TRUE(first->wait_running());
  fleet().cancel(second->ticket);
  EXPECT_EQ(second->why().code, Code::kCancelled);
  touch("go");
  EXPECT_TRUE(third->well());
}

// A job with a deadline: what it came to.
struct Hurry {
  test::Event ran, failed, too_late;
  Job job(const ModelRef& model, std::chrono::nanoseconds wait) {
    Job out;
    out.model = model;
    out.deadline = std::chrono::steady_clock::now() + wait;
    out.run = [this](Lease&) { ran.set(); };
    out.fail = [this](const Failure&) { failed.set(); };
    out.too_late = [this] { too_late.set(); };
    return out;
  }
};

TEST_F(Queue, NobodyWaitsBeyondHisDeadline) {
  options_.n_parallel = 1;
  options_.max_queue = 1;
  const ModelRef m = model("m");
  const OutcomePtr running = hold(m, "go");
  ASSERT_TRUE(running->wait_running());
  Hurry late, in_time;
  const uint64_t ticket = fleet().submit(late.job(m, std::chrono::milliseconds(20)));
  ASSERT_TRUE(late.too_late.wait());
  EXPECT_EQ(fleet().n_waiting(), 0u);
  fleet().cancel(ticket);  // nothing is there to be cancelled
  fleet().submit(in_time.job(m, std::chrono::hours(1)));
  EXPECT_EQ(fleet().n_waiting(), 1u) << "the place in the queue is free again";
  touch("go");
  EXPECT_TRUE(in_time.ran.wait());
  EXPECT_TRUE(running->well());
  EXPECT_TRUE(submit(m)->well());
  for (Hurry* job : {&late, &in_time}) EXPECT_FALSE(job->failed.happened());
  EXPECT_FALSE(late.ran.happened());
  EXPECT_FALSE(in_time.too_late.happened());
}

TEST_F(Queue, ALoadGoesOnThoughItIsTooLate) {
  const ModelRef m = model("m", {{"wait_for", path("go")}});
  Hurry late;
  fleet().submit(late.job(m, std::chrono::milliseconds(20)));
  ASSERT_TRUE(late.too_late.wait());
  touch("go");
  EXPECT_TRUE(wait_event("loaded m"));
  const OutcomePtr next = submit(m);
  EXPECT_TRUE(next->well());
  EXPECT_EQ(next->load_ns(), 0);
}

TEST_F(Queue, ALoadThatNobodyWaitsForEndsWithTheFleet) {
  const ModelRef m = model("m", {{"wait_for", path("never")}});
  Hurry late, never;
  fleet().submit(late.job(m, std::chrono::milliseconds(20)));
  ASSERT_TRUE(late.too_late.wait());
  fleet().submit(never.job(model("n"), std::chrono::hours(1)));
  fleet().stop(std::chrono::hours(1));
  EXPECT_TRUE(never.failed.happened());
}

// Before it has called its runner.
TEST_F(Queue, ALeaseKnowsThatItIsCancelled) {
  test::Event running, over;
  Job job;
  job.model = model("m");
  job.run = [&](Lease& lease) {
    running.set();
    EXPECT_TRUE(eventually([&] { return lease.cancelled(); }));
    EXPECT_EQ(lease.runner().memory().error().code, Code::kCancelled);
    EXPECT_EQ(lease.runner().generate({}, [](const Json&) { return true; }).error().code, Code::kCancelled);
    over.set();
  };
  const uint64_t ticket = fleet().submit(std::move(job));
  ASSERT_TRUE(running.wait());
  fleet().cancel(ticket);
  EXPECT_TRUE(over.wait());
  fleet_.reset();
}

TEST_F(Queue, AJobThatThrowsGivesItsPlaceBack) {
  options_.n_parallel = 1;
  const ModelRef m = model("m");
  for (int i = 0; i < 3; ++i) {
    Job job;
    job.model = m;
    job.run = [i](Lease&) {
      if (i == 0) throw std::runtime_error("no");
      if (i == 1) throw 42;
    };
    fleet().submit(std::move(job));
  }
  EXPECT_TRUE(submit(m)->well());
}

TEST_F(Queue, CallbacksMayUseTheFleet) {
  options_.max_queue = 0;
  const ModelRef m = model("m", {{"wait_for", path("go")}});
  const OutcomePtr first = submit(m);
  test::Event failed;
  OutcomePtr again;
  Job job;
  job.model = m;
  job.fail = [&](const Failure&) {
    EXPECT_LE(fleet_->list().size(), 1u);
    EXPECT_EQ(fleet_->n_waiting(), 1u);
    fleet_->cancel(first->ticket);
    again = submit(model("n"));
    failed.set();
  };
  fleet_->submit(std::move(job));
  ASSERT_TRUE(failed.wait());
  EXPECT_EQ(first->why().code, Code::kCancelled);
  EXPECT_TRUE(again->well());
}

TEST_F(Queue, ManyJobsOverMoreModelsThanFit) {
  options_.max_loaded = 2;
  constexpr int kThreads = 4, kEach = 50;
  const ModelRef models[] = {model("a"), model("b"), model("c")};
  fleet();
  std::mutex mutex;
  std::vector<OutcomePtr> jobs;
  {
    std::vector<std::jthread> clients;
    for (int t = 0; t < kThreads; ++t) {
      clients.emplace_back([&, t] {
        std::mt19937 random(static_cast<unsigned>(t));
        for (int i = 0; i < kEach; ++i) {
          const OutcomePtr job = submit(models[random() % 3], {{"say", {"x"}}});
          if (random() % 10 == 0) fleet_->cancel(job->ticket);
          std::lock_guard lock(mutex);
          jobs.push_back(job);
        }
      });
    }
  }
  int well = 0;
  for (const OutcomePtr& job : jobs) {
    const auto result = job->wait();
    if (result) {
      ++well;
      EXPECT_LE((*result)["most_active"].get<int>(), 4);
    } else {
      EXPECT_EQ(result.error().code, Code::kCancelled) << result.error().message;
    }
  }
  EXPECT_GE(well, kThreads * kEach * 7 / 10);
  // A model that has to go does first what it was asked for: not every job means a load.
  EXPECT_LT(events().size(), 100u);
}

}  // namespace
}  // namespace quipu::fleet
