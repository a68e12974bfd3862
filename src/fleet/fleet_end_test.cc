// Ends: of runners by themselves, and of the fleet.
#include <csignal>
#include <thread>

#include "fleet/fleet_fixture.h"

namespace quipu::fleet {
namespace {

using test::eventually;
using test::milliseconds;
using test::OutcomePtr;
using TheEnd = test::FleetTest;
using Strings = std::vector<std::string>;

constexpr const char* kStopped =
    "model runner has unexpectedly stopped, this may be due to resource limitations or an internal error, "
    "check ollama server logs for details: the runner was killed by signal 9 (Killed); the system may have "
    "run "
    "out of memory: oh no";

TEST_F(TheEnd, ACrashFailsWhatRuns) {
  options_.n_parallel = 2;
  const ModelRef m = model("m");
  const OutcomePtr steady = hold(m, "never");
  ASSERT_TRUE(steady->wait_running());
  const OutcomePtr crashing =
      submit(m, {{"say", {"half"}}, {"hold", path("go")}, {"stderr", "oh no\n"}, {"crash", SIGKILL}});
  ASSERT_TRUE(crashing->wait_running());
  const OutcomePtr waiting = submit(m);
  ASSERT_TRUE(eventually([&] { return crashing->text() == "half"; }));
  const pid_t before = shown("m")->pid;
  touch("go");
  for (const OutcomePtr& job : {steady, crashing}) {
    const Failure why = job->why();
    EXPECT_EQ(why.code, Code::kInternal);
    EXPECT_EQ(why.message, kStopped);
  }
  EXPECT_TRUE(waiting->well());  // by a new one
  EXPECT_NE(waiting->pid(), before);
  EXPECT_EQ(waiting->load_ns(), 1234);
  EXPECT_EQ(events(), (Strings{"loaded m", "crashed m", "loaded m"}));
}

TEST_F(TheEnd, ARunnerThatEndsWhileNothingRuns) {
  const ModelRef m = model("m");
  const OutcomePtr first = submit(m);
  ASSERT_TRUE(first->well());
  ::kill(first->pid(), SIGKILL);
  ASSERT_TRUE(wait_event("crashed m"));
  EXPECT_TRUE(fleet().list().empty());
  const OutcomePtr second = submit(m);
  ASSERT_TRUE(second->well());
  EXPECT_NE(first->pid(), second->pid());
}

TEST_F(TheEnd, AConnectionMayBreakByItself) {
  const ModelRef m = model("m");
  const Failure why = submit(m, {{"cut", true}})->why();
  EXPECT_EQ(why.code, Code::kInternal);
  EXPECT_TRUE(why.message.starts_with("an error was encountered while running the model: ")) << why.message;
  EXPECT_TRUE(submit(m)->well());
  EXPECT_EQ(events(), (Strings{"loaded m"}));
}

TEST_F(TheEnd, StopWithoutGrace) {
  options_.n_parallel = 1;
  const ModelRef m = model("m");
  const OutcomePtr running = hold(m, "never"), waiting = submit(m),
                   loading = submit(model("n", {{"wait_for", path("x")}}));
  ASSERT_TRUE(running->wait_running());
  ASSERT_TRUE(eventually([&] { return log_of("n").starts_with("start "); }));
  fleet().stop(milliseconds(0));
  EXPECT_EQ(running->why().code, Code::kCancelled);
  for (const OutcomePtr& job : {waiting, loading}) {
    EXPECT_EQ(job->why().code, Code::kUnavailable);
    EXPECT_EQ(job->why().message, "the server is shutting down");
  }
  EXPECT_TRUE(fleet().list().empty());
  EXPECT_EQ(fleet().n_waiting(), 0u);
  EXPECT_EQ(submit(m)->why().code, Code::kUnavailable);
  fleet().cancel(running->ticket);
  fleet().expire(m.model_path);
  fleet().stop(milliseconds(0));
}

TEST_F(TheEnd, StopWithGrace) {
  const ModelRef m = model("m");
  const OutcomePtr quick = hold(m, "go"), idle = submit(model("n"));
  ASSERT_TRUE(quick->wait_running());
  ASSERT_TRUE(idle->well());
  std::jthread later([&] {
    EXPECT_TRUE(wait_event("unloaded n"));
    touch("go");
  });
  fleet().stop(std::chrono::hours(1));
  EXPECT_TRUE(quick->well());
}

TEST_F(TheEnd, GraceEnds) {
  const OutcomePtr job = hold(model("m"), "never");
  ASSERT_TRUE(job->wait_running());
  fleet().stop(milliseconds(50));
  EXPECT_EQ(job->why().code, Code::kCancelled);
}

TEST_F(TheEnd, ARunnerThatDoesNotListenIsKilled) {
  const ModelRef m = model("m", {{"stubborn", true}});
  ASSERT_TRUE(submit(m)->well());
  const pid_t pid = shown("m")->pid;
  fleet().stop(milliseconds(0));
  EXPECT_EQ(::kill(pid, 0), -1);
}

TEST_F(TheEnd, AFleetThatDidNothing) {
  fleet();
  fleet_.reset();
  fleet().stop(std::chrono::hours(1));
}

TEST_F(TheEnd, OfEverythingAtOnce) {
  options_.max_loaded = 2;
  const ModelRef models[] = {model("a"), model("b"), model("c")};
  std::vector<OutcomePtr> jobs;
  fleet();
  for (int i = 0; i < 60; ++i)
    jobs.push_back(i % 2 == 0 ? submit(models[i % 3]) : hold(models[i % 3], "never"));
  for (int i = 0; i < 60; i += 7) fleet().cancel(jobs[i]->ticket);
  ASSERT_TRUE(eventually([&] { return jobs[1]->running(); }));
  fleet().stop(milliseconds(20));
  for (const OutcomePtr& job : jobs) EXPECT_TRUE(job->over());
}

}  // namespace
}  // namespace quipu::fleet
