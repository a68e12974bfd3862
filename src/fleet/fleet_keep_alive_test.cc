// How long a model stays after its last job.
#include "fleet/fleet_fixture.h"

namespace quipu::fleet {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::nanoseconds;
using std::chrono::system_clock;
using test::eventually;
using test::kForEver;
using test::milliseconds;
using test::OutcomePtr;
using KeepAlive = test::FleetTest;

constexpr nanoseconds kNone{0};

TEST_F(KeepAlive, NoneUnloadsAfterTheLastJob) {
  const ModelRef m = model("m");
  const OutcomePtr first = hold(m, "1", kNone), second = hold(m, "2");
  ASSERT_TRUE(second->wait_running());
  touch("1");
  ASSERT_TRUE(first->well());
  EXPECT_TRUE(shown("m"));
  touch("2");
  ASSERT_TRUE(second->well());
  EXPECT_TRUE(wait_event("unloaded m"));
  EXPECT_TRUE(eventually([&] { return fleet().list().empty(); }));
}

TEST_F(KeepAlive, TimeRunsFromTheLastJob) {
  const ModelRef m = model("m");
  const OutcomePtr first = submit(m, {}, milliseconds(300));
  ASSERT_TRUE(first->well());
  const OutcomePtr second = hold(m, "go");
  ASSERT_TRUE(second->wait_running());
  std::this_thread::sleep_for(milliseconds(600));
  EXPECT_FALSE(happened("unloaded m"));
  touch("go");
  EXPECT_TRUE(second->well());
  EXPECT_TRUE(wait_event("unloaded m"));
}

TEST_F(KeepAlive, AnotherModelsTimeIsItsOwn) {
  options_.keep_alive = milliseconds(50);
  ASSERT_TRUE(submit(model("a"), {}, kForEver)->well());
  ASSERT_TRUE(submit(model("b"))->well());
  EXPECT_TRUE(wait_event("unloaded b"));
  EXPECT_TRUE(shown("a"));
}

TEST_F(KeepAlive, ARequestChangesIt) {
  const ModelRef m = model("m");
  ASSERT_TRUE(submit(m)->well());
  const auto in = [&] { return *shown("m")->expires_at - system_clock::now(); };
  EXPECT_GT(in(), minutes(4));  // the default
  EXPECT_LT(in(), minutes(6));
  ASSERT_TRUE(submit(m, {}, hours(1))->well());
  EXPECT_GT(in(), minutes(50));
  ASSERT_TRUE(submit(m)->well());  // leaves it
  EXPECT_GT(in(), minutes(50));
  ASSERT_TRUE(submit(m, {}, kForEver)->well());
  EXPECT_FALSE(shown("m")->expires_at);
  ASSERT_TRUE(submit(m, {}, nanoseconds::max())->well());  // as good as for ever
  EXPECT_FALSE(shown("m")->expires_at);
  ASSERT_TRUE(submit(m, {}, kNone)->well());
  EXPECT_TRUE(wait_event("unloaded m"));
  EXPECT_EQ(events().size(), 2u);  // all that was one load
}

TEST_F(KeepAlive, NoneByDefault) {
  options_.keep_alive = kNone;
  ASSERT_TRUE(submit(model("m"))->well());
  EXPECT_TRUE(wait_event("unloaded m"));
}

TEST_F(KeepAlive, ForEverByDefault) {
  options_.keep_alive = kForEver;
  ASSERT_TRUE(submit(model("m"))->well());
  EXPECT_FALSE(shown("m")->expires_at);
}

TEST_F(KeepAlive, WhoseOnlyJobWasCancelledStaysAsLong) {
  const ModelRef m = model("m");
  const OutcomePtr job = hold(m, "never", milliseconds(20));
  ASSERT_TRUE(job->wait_running());
  EXPECT_GT(*shown("m")->expires_at, system_clock::now() - minutes(1));
  fleet().cancel(job->ticket);
  EXPECT_EQ(job->why().code, Code::kCancelled);
  EXPECT_TRUE(wait_event("unloaded m"));
}

}  // namespace
}  // namespace quipu::fleet
