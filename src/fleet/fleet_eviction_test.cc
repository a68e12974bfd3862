// Models that have to go: for others, for want of memory, because somebody says so.
#include "fleet/fleet_fixture.h"

namespace quipu::fleet {
namespace {

using std::chrono::minutes;
using std::chrono::system_clock;
using test::eventually;
using test::kForEver;
using test::OutcomePtr;
using Eviction = test::FleetTest;
using Strings = std::vector<std::string>;

TEST_F(Eviction, TheShortestKeepAliveGoesFirst) {
  options_.max_loaded = 2;
  ASSERT_TRUE(answered(model("a"), kForEver));
  ASSERT_TRUE(answered(model("b"), minutes(9)));
  ASSERT_TRUE(answered(model("c"), minutes(5)));
  ASSERT_TRUE(answered(model("d"), kForEver));
  ASSERT_TRUE(answered(model("b"), minutes(1)));
  EXPECT_EQ(events(), (Strings{"loaded a", "loaded b", "unloaded b", "loaded c", "unloaded c", "loaded d",
                               "unloaded a", "loaded b"}));
  const auto list = fleet().list();
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[0].model.name, "d");  // latest expiry first
  EXPECT_FALSE(list[0].expires_at);
  EXPECT_EQ(list[1].model.name, "b");
}

TEST_F(Eviction, ABusyModelFirstDoesWhatItWasAskedFor) {
  options_.max_loaded = 1;
  options_.n_parallel = 1;
  const ModelRef a = model("a"), b = model("b");
  const OutcomePtr a1 = hold(a, "a1"), a2 = hold(a, "a2");
  ASSERT_TRUE(a1->wait_running());
  const OutcomePtr b1 = hold(b, "b1"), a3 = hold(a, "a3"), b2 = hold(b, "b2");
  touch("a1");
  ASSERT_TRUE(a2->wait_running());
  EXPECT_FALSE(b1->running());
  touch("a2");
  ASSERT_TRUE(b1->wait_running());
  EXPECT_FALSE(a3->over());
  for (const char* file : {"a3", "b1", "b2"}) touch(file);
  EXPECT_TRUE(a3->well());
  EXPECT_TRUE(b2->well());
  EXPECT_EQ(started(), (Strings{"a1", "a2", "b1", "b2", "a3"}));
  EXPECT_EQ(events(), (Strings{"loaded a", "unloaded a", "loaded b", "unloaded b", "loaded a"}));
  EXPECT_EQ(a1->pid(), a2->pid());
  EXPECT_NE(a1->pid(), a3->pid());
}

TEST_F(Eviction, OneThatBecomesIdleGoesInstead) {
  options_.max_loaded = 2;
  const ModelRef a = model("a"), b = model("b"), c = model("c");
  const OutcomePtr a1 = hold(a, "a1", minutes(1)), b1 = hold(b, "b1", minutes(2));
  ASSERT_TRUE(a1->wait_running());
  ASSERT_TRUE(b1->wait_running());
  const OutcomePtr c1 = submit(c), a2 = hold(a, "a2");  // a is the one to go, so its next job waits
  touch("b1");
  ASSERT_TRUE(c1->well());
  ASSERT_TRUE(a2->wait_running());
  EXPECT_EQ(events(), (Strings{"loaded a", "loaded b", "unloaded b", "loaded c"}));
  touch("a1");
  touch("a2");
  EXPECT_EQ(a1->pid(), a2->pid());
}

TEST_F(Eviction, WhenNobodyWaitsAnyMoreNothingGoes) {
  options_.max_loaded = 1;
  const ModelRef a = model("a");
  const OutcomePtr a1 = hold(a, "a1");
  ASSERT_TRUE(a1->wait_running());
  const OutcomePtr b1 = submit(model("b")), a2 = submit(a);
  ASSERT_TRUE(eventually([&] { return fleet().n_waiting() == 2; }));
  fleet().cancel(b1->ticket);
  ASSERT_TRUE(a2->well());
  touch("a1");
  EXPECT_EQ(a1->pid(), a2->pid());
  EXPECT_EQ(events(), (Strings{"loaded a"}));
}

TEST_F(Eviction, ForWantOfMemory) {
  ASSERT_TRUE(answered(model("a", needs(6, 10))));
  const OutcomePtr b = submit(model("b", needs(6, 10)));
  ASSERT_TRUE(b->well());
  EXPECT_EQ(b->load_ns(), 1234);
  EXPECT_EQ(events(), (Strings{"loaded a", "refused b", "unloaded a", "loaded b"}));
  // One after the other, until it is enough.
  ASSERT_TRUE(submit(model("c", needs(2, 10)), {}, kForEver)->well());
  ASSERT_TRUE(submit(model("d", needs(10, 10)))->well());
  const Strings all = events();
  EXPECT_EQ(Strings(all.begin() + 4, all.end()),
            (Strings{"loaded c", "refused d", "unloaded b", "refused d", "unloaded c", "loaded d"}));
}

TEST_F(Eviction, MemoryOfABusyModelIsWaitedFor) {
  const ModelRef a = model("a", needs(6, 10));
  const OutcomePtr a1 = hold(a, "a1");
  ASSERT_TRUE(a1->wait_running());
  const OutcomePtr b = submit(model("b", needs(6, 10)));
  ASSERT_TRUE(wait_event("refused b"));
  const OutcomePtr small = submit(model("c", needs(1, 10)));
  EXPECT_FALSE(b->running());
  touch("a1");
  EXPECT_TRUE(b->well());
  EXPECT_TRUE(small->well());
  EXPECT_EQ(events(), (Strings{"loaded a", "refused b", "unloaded a", "loaded b", "loaded c"}));
}

TEST_F(Eviction, WhatDoesNotFitAloneFailsWithItsPlan) {
  ASSERT_TRUE(submit(model("a", needs(1, 10)))->well());
  const ModelRef huge = model("huge", needs(11, 10));
  const OutcomePtr jobs[] = {submit(huge), submit(huge)};
  for (const OutcomePtr& job : jobs) {
    const Failure why = job->why();
    EXPECT_EQ(why.code, Code::kOutOfMemory);
    EXPECT_EQ(why.message, "no room");
    EXPECT_EQ(why.plan, Json({{"fits", "no"}}));
    EXPECT_EQ(why.table, "t");
  }
  EXPECT_EQ(events(), (Strings{"loaded a", "refused huge", "unloaded a", "failed huge"}));
}

TEST_F(Eviction, NothingGoesForWhatIsLargerThanTheBudget) {
  ASSERT_TRUE(submit(model("a"))->well());
  const Json plan = {{"charge", 20}, {"machine", {{"budget", 10}}}, {"fits", "no"}};
  const ModelRef huge =
      model("huge", {{"refuse", {{"error", "it needs 20"}, {"code", "out_of_memory"}, {"plan", plan}}}});
  EXPECT_EQ(submit(huge)->why().plan, plan);
  EXPECT_EQ(events(), (Strings{"loaded a", "failed huge"}));
}

TEST_F(Eviction, Expire) {
  const ModelRef a = model("a");
  ASSERT_TRUE(submit(a)->well());
  fleet().expire("/nowhere");
  fleet().expire(a.model_path);
  ASSERT_TRUE(wait_event("unloaded a"));
  fleet().expire(a.model_path);
  EXPECT_TRUE(fleet().list().empty());

  options_.n_parallel = 1;
  fleet_.reset();
  const OutcomePtr a1 = hold(a, "a1"), a2 = submit(a);
  ASSERT_TRUE(a1->wait_running());
  fleet().expire(a.model_path);
  const auto going = shown("a");
  ASSERT_TRUE(going);
  ASSERT_TRUE(going->expires_at);
  EXPECT_LE(*going->expires_at, system_clock::now());
  EXPECT_EQ(going->running, 1u);
  // It stands in nobody's way, and what waits for it is loaded again.
  EXPECT_TRUE(submit(model("b"))->well());
  touch("a1");
  EXPECT_TRUE(a1->well());
  EXPECT_TRUE(a2->well());
  EXPECT_NE(a1->pid(), a2->pid());
}

TEST_F(Eviction, ExpireWhileItLoads) {
  const ModelRef a = model("a", {{"wait_for", path("go")}});
  const OutcomePtr job = submit(a);
  ASSERT_TRUE(eventually([&] { return log_of("a").starts_with("start "); }));
  fleet().expire(a.model_path);
  touch("go");
  EXPECT_TRUE(job->well());
  EXPECT_TRUE(wait_event("unloaded a"));
}

TEST_F(Eviction, OneThatIsLeavingMakesRoomToo) {
  options_.max_loaded = 1;
  const ModelRef a = model("a");
  const OutcomePtr a1 = hold(a, "a1");
  ASSERT_TRUE(a1->wait_running());
  fleet().expire(a.model_path);
  const OutcomePtr b1 = submit(model("b"));
  ASSERT_TRUE(eventually([&] { return fleet().n_waiting() == 1; }));
  touch("a1");
  EXPECT_TRUE(b1->well());
  EXPECT_EQ(events(), (Strings{"loaded a", "unloaded a", "loaded b"}));
}

}  // namespace
}  // namespace quipu::fleet
