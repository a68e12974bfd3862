// Loading: slow, refused, crashing, stuck; and what several models have in common.
#include "fleet/fleet_fixture.h"

namespace quipu::fleet {
namespace {

using test::eventually;
using test::milliseconds;
using test::OutcomePtr;
using Loading = test::FleetTest;
using std::chrono::system_clock;

TEST_F(Loading, JobsWaitForTheLoad) {
  const ModelRef m = model("m", {{"wait_for", path("go")}, {"bytes", 5000}});
  const OutcomePtr first = submit(m, {{"say", {"Hel", "lo"}}}), second = submit(m);
  ASSERT_TRUE(eventually([&] { return log_of("m").starts_with("start "); }));
  auto loading = shown("m");
  ASSERT_TRUE(loading);
  EXPECT_EQ(loading->state, Loaded::State::kLoading);
  EXPECT_EQ(loading->waiting, 2u);
  EXPECT_EQ(loading->running, 0u);
  EXPECT_GT(loading->pid, 0);
  EXPECT_TRUE(loading->info.is_null());
  EXPECT_EQ(loading->bytes, std::filesystem::file_size(m.model_path));
  ASSERT_TRUE(loading->expires_at);
  EXPECT_GT(*loading->expires_at, system_clock::now() + std::chrono::minutes(1));
  EXPECT_EQ(fleet().n_waiting(), 2u);
  EXPECT_FALSE(first->running());

  touch("go");
  ASSERT_TRUE(first->well());
  EXPECT_EQ(first->text(), "Hello");
  EXPECT_EQ(first->load_ns(), 1234);
  EXPECT_GT(first->waited_ns(), 0);
  ASSERT_TRUE(second->well());
  EXPECT_EQ(second->load_ns(), 1234);

  const OutcomePtr third = submit(m);
  ASSERT_TRUE(third->well());
  EXPECT_EQ(third->load_ns(), 0);
  EXPECT_EQ(third->pid(), first->pid());
  const auto ready = shown("m");
  ASSERT_TRUE(ready);
  EXPECT_EQ(ready->state, Loaded::State::kReady);
  EXPECT_EQ(ready->model.digest, "digest of m");
  EXPECT_EQ(ready->bytes, 5000u);
  EXPECT_EQ(ready->n_ctx, 4096);
  EXPECT_EQ(ready->info["architecture"], "fake");
  EXPECT_EQ(ready->memory["total"]["planned"], 5000);
  const auto measured = fleet().list_measured();
  ASSERT_EQ(measured.size(), 1u);
  EXPECT_EQ(measured[0].memory["total"]["measured"], 5001);
  EXPECT_EQ(measured[0].bytes, 5001u);
  EXPECT_EQ(events(), (std::vector<std::string>{"loaded m"}));
}

TEST_F(Loading, Flags) {
  options_.n_parallel = 7;
  options_.load = {.num_ctx = 1000, .kv_cache_type = "f32", .threads = 3};
  ModelRef own = model("own");
  own.default_options = {{"num_ctx", 2000}};
  own.projector_paths = {path("p")};
  ASSERT_TRUE(submit(own)->well());
  ASSERT_TRUE(submit(model("other"), {}, {}, 512)->well());
  const auto flags = shown("own")->info["flags"];
  EXPECT_EQ(flags["--num-ctx"], "2000");
  EXPECT_EQ(flags["--parallel"], "7");
  EXPECT_EQ(flags["--kv-cache-type"], "f32");
  EXPECT_EQ(flags["--threads"], "3");
  EXPECT_EQ(flags["--projector"], path("p"));
  EXPECT_EQ(shown("own")->n_ctx, 2000);
  EXPECT_EQ(shown("other")->info["num_ctx"], 1000);
  EXPECT_EQ(shown("other")->n_ctx, 512);
}

TEST_F(Loading, ACrashFailsItsOwnJobsAlone) {
  const ModelRef bad = model("bad", {{"wait_for", path("go")}, {"crash", 9}, {"stderr", "out of\nluck\n"}}),
                 good = model("good");
  const OutcomePtr jobs[] = {submit(bad), submit(bad), submit(good), submit(bad)};
  touch("go");
  for (const int i : {0, 1, 3}) {
    const Failure why = jobs[i]->why();
    EXPECT_EQ(why.code, Code::kInternal);
    EXPECT_EQ(why.message,
              "the runner was killed by signal 9 (Killed); the system may have run out of memory: luck");
  }
  EXPECT_TRUE(jobs[2]->well());
  EXPECT_EQ(events(), (std::vector<std::string>{"failed bad", "loaded good"}));
  model("bad");  // mended
  EXPECT_TRUE(submit(bad)->well());
}

TEST_F(Loading, ARefusalIsPassedOn) {
  const Failure why =
      submit(model("m", {{"refuse", {{"error", "m: no GGUF file"}, {"code", "corrupt"}}}}))->why();
  EXPECT_EQ(why.code, Code::kCorrupt);
  EXPECT_EQ(why.message, "m: no GGUF file");
  EXPECT_EQ(submit(model("n", {{"exit", 3}}))->why().message, "the runner ended unexpectedly with status 3");
  EXPECT_TRUE(fleet().list().empty());
}

TEST_F(Loading, AProgramThatIsNotThere) {
  options_.program = path("nothing");
  EXPECT_EQ(submit(model("m"))->why().code, Code::kIo);
  EXPECT_TRUE(fleet().list().empty());
}

TEST_F(Loading, ALoadThatStandsStillIsEnded) {
  options_.load_timeout = milliseconds(200);
  const OutcomePtr job = submit(model("m", {{"wait_for", path("never")}, {"stubborn", true}}));
  const Failure why = job->why();
  EXPECT_EQ(why.code, Code::kInternal);
  EXPECT_EQ(why.message, "timed out waiting for the runner to start: the load made no progress for 200ms");
  EXPECT_TRUE(fleet().list().empty());
}

TEST_F(Loading, FidgetingIsNoProgress) {
  options_.load_timeout = milliseconds(200);
  const OutcomePtr job = submit(model("m", {{"wait_for", path("never")}, {"fidget", true}}));
  EXPECT_EQ(job->why().message,
            "timed out waiting for the runner to start: the load made no progress for 200ms");
}

TEST_F(Loading, ALoadMayTakeAsLongAsItMakesProgress) {
  options_.load_timeout = milliseconds(1000);
  const OutcomePtr job = submit(model("m", {{"wait_for", path("go")}, {"grow", true}}));
  std::this_thread::sleep_for(milliseconds(2500));
  touch("go");
  EXPECT_TRUE(job->well());
}

TEST_F(Loading, NoLimit) {
  options_.load_timeout = milliseconds(0);
  const OutcomePtr job = submit(model("m", {{"wait_for", path("go")}}));
  std::this_thread::sleep_for(milliseconds(100));
  touch("go");
  EXPECT_TRUE(job->well());
}

TEST_F(Loading, NamesThatShareTheirWeightsShareARunner) {
  const ModelRef one = model("one");
  ModelRef two = one;
  two.name = "two";
  const OutcomePtr a = submit(one), b = submit(two);
  ASSERT_TRUE(a->well());
  ASSERT_TRUE(b->well());
  EXPECT_EQ(a->pid(), b->pid());
  ASSERT_EQ(fleet().list().size(), 1u);
  EXPECT_EQ(fleet().list()[0].model.name, "one");
}

TEST_F(Loading, OtherProjectorsAreAnotherLoad) {
  const ModelRef plain = model("m");
  ModelRef seeing = plain;
  seeing.name = "seeing";
  seeing.projector_paths = {path("p")};
  const OutcomePtr a = hold(plain, "a");
  ASSERT_TRUE(a->wait_running());
  const OutcomePtr b = submit(seeing);
  // Meanwhile others load as ever.
  ASSERT_TRUE(submit(model("other"))->well());
  EXPECT_FALSE(b->running());
  touch("a");
  ASSERT_TRUE(b->well());
  EXPECT_NE(a->pid(), b->pid());
  EXPECT_EQ(events(), (std::vector<std::string>{"loaded m", "loaded other", "unloaded m", "loaded seeing"}));
  EXPECT_EQ(fleet().list().size(), 2u);
}

TEST_F(Loading, OneAtATimeInTheirOrder) {
  const ModelRef a = model("a", {{"wait_for", path("go")}}), b = model("b"), c = model("c");
  const OutcomePtr jobs[] = {submit(a), submit(b), submit(c), submit(a)};
  ASSERT_TRUE(eventually([&] { return log_of("a").starts_with("start "); }));
  EXPECT_EQ(fleet().list().size(), 1u);
  EXPECT_EQ(log_of("b"), "");
  touch("go");
  for (const OutcomePtr& job : jobs) EXPECT_TRUE(job->well());
  EXPECT_EQ(events(), (std::vector<std::string>{"loaded a", "loaded b", "loaded c"}));
}

TEST_F(Loading, ALoadThatNobodyWaitsForIsGivenUp) {
  const ModelRef stuck = model("stuck", {{"wait_for", path("never")}});
  const OutcomePtr first = submit(stuck), second = submit(stuck), other = submit(model("other"));
  ASSERT_TRUE(eventually([&] { return log_of("stuck").starts_with("start "); }));
  fleet().cancel(first->ticket);
  EXPECT_EQ(first->why().code, Code::kCancelled);
  EXPECT_EQ(first->why().message, "request canceled");
  EXPECT_TRUE(shown("stuck"));
  fleet().cancel(second->ticket);
  EXPECT_EQ(second->why().code, Code::kCancelled);
  EXPECT_TRUE(other->well());
  EXPECT_TRUE(eventually([&] { return !shown("stuck"); }));
  EXPECT_EQ(events(), (std::vector<std::string>{"loaded other"}));
}

TEST_F(Loading, ARunnersLogGoesOn) {
  std::mutex mutex;
  std::vector<std::string> lines;
  options_.log = [&](const ModelRef& m, spdlog::level::level_enum level, std::string_view text) {
    std::lock_guard lock(mutex);
    lines.push_back(fmt::format("{} {} {}", m.name, static_cast<int>(level), text));
  };
  ASSERT_TRUE(submit(model("m", {{"stderr", "2026-11-25T17:01:02.345 I hello\nworld\n"}}))->well());
  EXPECT_EQ(submit(model("n", {{"stderr", "bye"}, {"exit", 1}}))->why().message,
            "the runner ended unexpectedly with status 1: bye");
  fleet_.reset();
  EXPECT_EQ(lines, (std::vector<std::string>{"m 2 hello", "m 3 world", "n 3 bye"}));
}

}  // namespace
}  // namespace quipu::fleet
