// Models under one budget: loads that are admitted by what they are charged, caches that grow while others
// give way.
#include <atomic>
#include <csignal>

#include "fleet/fleet_fixture.h"
#include "fleet/memory_facts.h"

namespace quipu::fleet {
namespace {

using std::chrono::minutes;
using test::eventually;
using test::OutcomePtr;
using Strings = std::vector<std::string>;

class FleetMemory : public test::FleetTest {
 protected:
  FleetMemory() { options_.bounds.memory = ByteShare{.bytes = 1000}; }

  ModelRef charged(const std::string& name, uint64_t fixed, uint64_t floor) {
    return model(name, {{"fixed", fixed}, {"floor", floor}});
  }
  // A job whose answer needs so much cache, and whether it got it.
  bool grows(const ModelRef& model, uint64_t kv) {
    const auto result = submit(model, {{"kv", kv}})->wait();
    EXPECT_TRUE(result) << result.error().message;
    eventually([&] { return shown(model.name)->running == 0; });
    return result && (*result)["held"].get<bool>();
  }
  OutcomePtr grow_and_stay(const ModelRef& model, uint64_t kv, const std::string& file) {
    const OutcomePtr job = submit(model, {{"kv", kv}, {"hold", path(file)}});
    EXPECT_TRUE(eventually([&] {
      const std::string log = log_of(model.name);
      return log.find("held") != log.npos || log.find("denied") != log.npos;
    }));
    return job;
  }
  uint64_t admitted() { return fleet().budget().admitted; }
};

TEST_F(FleetMemory, LoadsAreCharged) {
  EXPECT_EQ(admitted(), 0u);
  ASSERT_TRUE(answered(charged("a", 400, 100)));
  ASSERT_TRUE(answered(charged("b", 300, 50)));
  EXPECT_EQ(shown("a")->charge, 500u);
  EXPECT_EQ(shown("b")->charge, 350u);
  const memory::Machine m = fleet().budget();
  EXPECT_EQ(m.budget(), 1000u);
  EXPECT_EQ(m.admitted, 850u);
  EXPECT_EQ(m.free(), 150u);
  fleet().expire(path("a"));
  ASSERT_TRUE(wait_event("unloaded a"));
  EXPECT_EQ(admitted(), 350u);
}

// Nobody has to look before it ends.
TEST_F(FleetMemory, PreemptionsAreKnownAfterTheEnd) {
  std::atomic<uint64_t> unloaded = 0, crashed = 0;
  options_.on_event = [&, record = options_.on_event](const FleetEvent& e) {
    if (e.kind == FleetEvent::Kind::kUnloaded) unloaded += e.loaded.preemptions;
    if (e.kind == FleetEvent::Kind::kCrashed) crashed += e.loaded.preemptions;
    record(e);
  };
  const ModelRef a = charged("a", 400, 100);
  ASSERT_TRUE(submit(a, {{"preempt", 3}})->well());
  EXPECT_EQ(shown("a")->preemptions, 3u);
  fleet().expire(path("a"));
  ASSERT_TRUE(wait_event("unloaded a"));
  EXPECT_EQ(unloaded, 3u);
  submit(a, {{"preempt", 2}, {"crash", SIGKILL}})->wait();
  ASSERT_TRUE(wait_event("crashed a"));
  EXPECT_EQ(crashed, 2u) << "another runner in the same place";
  EXPECT_EQ(unloaded, 3u);
}

TEST_F(FleetMemory, ALoadEvictsIdleModelsButNoMoreThanItNeeds) {
  ASSERT_TRUE(answered(charged("a", 300, 100), minutes(1)));
  ASSERT_TRUE(answered(charged("b", 300, 100), minutes(2)));
  ASSERT_TRUE(submit(charged("c", 300, 100))->well());
  EXPECT_EQ(events(), (Strings{"loaded a", "loaded b", "refused c", "unloaded a", "loaded c"}));
  EXPECT_EQ(admitted(), 800u);
}

TEST_F(FleetMemory, NothingGoesForALoadThatTheBudgetCannotHold) {
  ASSERT_TRUE(answered(charged("a", 300, 100)));
  const Failure why = submit(charged("huge", 900, 101))->why();
  EXPECT_EQ(why.code, Code::kOutOfMemory);
  EXPECT_EQ(number_at(why.plan, {"charge"}), 1001);
  EXPECT_TRUE(shown("a"));
  EXPECT_EQ(admitted(), 400u) << "what was refused is charged nothing";
}

TEST_F(FleetMemory, ALoadTakesWhatOthersHaveCachedBeforeItUnloadsThem) {
  ASSERT_TRUE(grows(charged("a", 100, 100), 700));
  EXPECT_EQ(admitted(), 800u);
  ASSERT_TRUE(answered(charged("b", 300, 100)));
  EXPECT_EQ(events(), (Strings{"loaded a", "refused b", "loaded b"}));
  EXPECT_EQ(admitted(), 600u);
}

TEST_F(FleetMemory, ACacheGrowsIntoWhatIsFree) {
  const ModelRef a = charged("a", 100, 100);
  ASSERT_TRUE(answered(charged("b", 100, 100)));
  EXPECT_TRUE(grows(a, 50));
  EXPECT_EQ(admitted(), 400u) << "within what it was promised";
  EXPECT_TRUE(grows(a, 700));
  EXPECT_EQ(shown("a")->charge, 800u);
  EXPECT_EQ(events(), (Strings{"loaded b", "loaded a"}));
}

TEST_F(FleetMemory, ThenOthersGiveUpWhatTheyHaveCached) {
  ASSERT_TRUE(grows(charged("b", 100, 100), 500));
  EXPECT_TRUE(grows(charged("a", 100, 100), 600));
  EXPECT_EQ(log_of("b").find("trimmed") != std::string::npos, true);
  EXPECT_EQ(shown("b")->charge, 200u);
  EXPECT_EQ(events(), (Strings{"loaded b", "loaded a"}));
}

TEST_F(FleetMemory, ThenIdleModelsGo) {
  ASSERT_TRUE(answered(charged("b", 100, 100), minutes(1)));
  ASSERT_TRUE(answered(charged("c", 100, 100), minutes(2)));
  EXPECT_TRUE(grows(charged("a", 100, 100), 700));
  EXPECT_EQ(events(), (Strings{"loaded b", "loaded c", "loaded a", "unloaded b"}));
  EXPECT_EQ(admitted(), 1000u);
}

TEST_F(FleetMemory, WhoIsBusyKeepsWhatItUses) {
  const ModelRef b = charged("b", 100, 100);
  const OutcomePtr busy = grow_and_stay(b, 500, "done");
  EXPECT_FALSE(grows(charged("a", 100, 100), 400));
  EXPECT_TRUE(busy->running());
  EXPECT_EQ(shown("a")->charge, 200u) << "what it was denied it does not hold";
  EXPECT_TRUE(grows(charged("a", 100, 100), 250)) << "what is left it gets";
  touch("done");
  EXPECT_TRUE((*busy->wait())["held"].get<bool>());
  EXPECT_EQ(events(), (Strings{"loaded b", "loaded a"}));
}

TEST_F(FleetMemory, TwoThatWantMoreAtOnceBothGetAnAnswer) {
  const ModelRef a = charged("a", 100, 100), b = charged("b", 100, 100);
  ASSERT_TRUE(answered(a));
  ASSERT_TRUE(answered(b));
  const OutcomePtr jobs[] = {submit(a, {{"kv", 700}, {"hold", path("done")}}),
                             submit(b, {{"kv", 700}, {"hold", path("done")}})};
  for (const char* name : {"a", "b"})
    ASSERT_TRUE(eventually([&] {
      const std::string log = log_of(name);
      return log.find("held") != log.npos || log.find("denied") != log.npos;
    }));
  EXPECT_LE(admitted(), 1000u);
  touch("done");
  int held = 0;
  for (const OutcomePtr& job : jobs) held += (*job->wait())["held"].get<bool>() ? 1 : 0;
  EXPECT_LE(held, 1);
}

TEST_F(FleetMemory, WhatACrashedRunnerHeldIsFree) {
  const ModelRef a = charged("a", 100, 100);
  ASSERT_TRUE(grows(a, 800));
  submit(a, {{"crash", SIGKILL}})->why();
  ASSERT_TRUE(wait_event("crashed a"));
  EXPECT_EQ(admitted(), 0u);
  EXPECT_TRUE(answered(charged("b", 900, 100)));
}

}  // namespace
}  // namespace quipu::fleet
