// For tests: a fleet of fake runners (fake_runner.cc), and what becomes of its jobs.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "fleet/fleet.h"
#include "http/test_net.h"

namespace quipu::fleet::test {

namespace fs = std::filesystem;
using http::test::Event;
using http::test::eventually;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr nanoseconds kForEver{-1};

// What became of a job.
class Outcome {
 public:
  uint64_t ticket = 0;

  void begin(int64_t load_ns, int64_t waited_ns) {
    std::lock_guard lock(mutex_);
    EXPECT_FALSE(began_ || result_) << "run is called after something else";
    began_ = true;
    load_ns_ = load_ns;
    waited_ns_ = waited_ns;
    changed_.notify_all();
  }
  void end(Answer<Json> result, bool by_fail = false) {
    std::lock_guard lock(mutex_);
    EXPECT_FALSE(result_) << "a second end";
    EXPECT_NE(began_, by_fail) << "fail and run";
    result_ = std::move(result);
    changed_.notify_all();
  }
  void line(const std::string& text) {
    std::lock_guard lock(mutex_);
    text_ += text;
  }

  bool running() {
    std::lock_guard lock(mutex_);
    return began_ && !result_;
  }
  bool over() {
    std::lock_guard lock(mutex_);
    return result_.has_value();
  }
  bool wait_running() {
    return eventually([&] { return running(); });
  }
  Answer<Json> wait() {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, http::test::kPatience, [&] { return result_.has_value(); })) {
      ADD_FAILURE() << "a job does not end";
      return failure(Code::kInternal, "it does not end");
    }
    return *result_;
  }
  // Whether it went well.
  bool well() {
    const auto result = wait();
    EXPECT_TRUE(result) << result.error().message;
    return result.has_value();
  }
  Failure why() {
    const auto result = wait();
    EXPECT_FALSE(result) << result->dump();
    return result ? Failure(Error{}) : result.error();
  }
  int pid() {
    const auto result = wait();
    return result && result->contains("pid") ? (*result)["pid"].get<int>() : -1;
  }
  std::string text() {
    std::lock_guard lock(mutex_);
    return text_;
  }
  int64_t load_ns() {
    std::lock_guard lock(mutex_);
    return load_ns_;
  }
  int64_t waited_ns() {
    std::lock_guard lock(mutex_);
    return waited_ns_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool began_ = false;
  int64_t load_ns_ = -1, waited_ns_ = -1;
  std::string text_;
  std::optional<Answer<Json>> result_;
};
using OutcomePtr = std::shared_ptr<Outcome>;

class FleetTest : public testing::Test {
 protected:
  FleetTest() {
    std::string name = "/tmp/quipu-fleet-XXXXXX";  // short: a socket's path has its limit
    folder_ = mkdtemp(name.data());
    fs::create_directory(folder_ / "run");
    fs::create_directory(folder_ / "room");
    setenv("XDG_RUNTIME_DIR", (folder_ / "run").c_str(), 1);
    options_.program = QUIPU_FAKE_RUNNER;
    options_.on_event = [this](const FleetEvent& e) { record(e); };
    n_descriptors_ = count("/proc/self/fd");
  }
  // Nothing may stay behind: no process, no socket, no descriptor.
  void TearDown() override {
    fleet_.reset();
    EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
    EXPECT_EQ(errno, ECHILD);
    EXPECT_TRUE(fs::is_empty(folder_ / "run"));
    EXPECT_EQ(count("/proc/self/fd"), n_descriptors_);
    EXPECT_LE(most_loaded_, std::max<int64_t>(options_.max_loaded, 1));
  }
  ~FleetTest() override { fs::remove_all(folder_); }

  static size_t count(const char* folder) {
    return static_cast<size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator{}));
  }

  Fleet& fleet() {
    if (!fleet_) fleet_ = std::make_unique<Fleet>(options_);
    return *fleet_;
  }

  // A model whose runner does what the script says.
  ModelRef model(const std::string& name, Json script = Json::object()) {
    script["log"] = (folder_ / (name + ".log")).string();
    const fs::path path = folder_ / name;
    std::ofstream(path) << script.dump();
    return {.name = name, .digest = "digest of " + name, .model_path = path};
  }
  Json needs(int64_t needs, int64_t capacity) {
    return {{"needs", needs}, {"capacity", capacity}, {"folder", (folder_ / "room").string()}};
  }
  std::string path(const std::string& name) { return folder_ / name; }
  void touch(const std::string& name) { std::ofstream{folder_ / name}; }
  std::string log_of(const std::string& name) {
    std::ifstream in(folder_ / (name + ".log"));
    return {std::istreambuf_iterator<char>(in), {}};
  }

  OutcomePtr submit(const ModelRef& model, Json request = Json::object(),
                    std::optional<nanoseconds> keep_alive = {}, int64_t num_ctx = 0, bool light = false) {
    const auto outcome = std::make_shared<Outcome>();
    if (request.is_null()) request = Json::object();  // {}
    Job job;
    job.model = model;
    job.keep_alive = keep_alive;
    job.num_ctx = num_ctx;
    job.light = light;
    job.run = [this, outcome, request, name = model.name](Lease& lease) {
      {
        std::lock_guard lock(mutex_);
        started_.push_back(request.value("name", name));
      }
      outcome->begin(lease.load_ns(), lease.waited_ns());
      auto result = lease.runner().generate(request, [&](const Json& line) {
        if (line.contains("text")) outcome->line(line["text"].get<std::string>());
        return true;
      });
      EXPECT_TRUE(result || result.error().code != Code::kCancelled || lease.cancelled());
      outcome->end(std::move(result));
    };
    job.fail = [outcome](const Failure& why) { outcome->end(std::unexpected(why), true); };
    outcome->ticket = fleet().submit(std::move(job));
    return outcome;
  }
  // A job of its own, and the fleet knows that it is over.
  bool answered(const ModelRef& model, std::optional<nanoseconds> keep_alive = {}) {
    const bool well = submit(model, {}, keep_alive)->well();
    return well && eventually([&] {
             const auto now = shown(model.name);
             return !now || now->running == 0;
           });
  }
  // One that runs until the file is there.
  OutcomePtr hold(const ModelRef& model, const std::string& file,
                  std::optional<nanoseconds> keep_alive = {}) {
    return submit(model, {{"hold", path(file)}, {"name", file}}, keep_alive);
  }

  std::vector<std::string> started() {
    std::lock_guard lock(mutex_);
    return started_;
  }
  std::vector<std::string> events() {
    std::lock_guard lock(mutex_);
    return events_;
  }
  bool happened(const std::string& what) { return std::ranges::count(events(), what) > 0; }
  bool wait_event(const std::string& what) {
    return eventually([&] { return happened(what); });
  }
  // One that is shown, by its name; null where it is not.
  std::optional<Loaded> shown(const std::string& name) {
    for (Loaded& loaded : fleet().list())
      if (loaded.model.name == name) return std::move(loaded);
    return std::nullopt;
  }

  fs::path folder_;
  FleetOptions options_;
  std::unique_ptr<Fleet> fleet_;

 private:
  void record(const FleetEvent& e) {
    using Kind = FleetEvent::Kind;
    static const std::map<Kind, const char*> kNames = {{Kind::kLoaded, "loaded "},
                                                       {Kind::kLoadFailed, "failed "},
                                                       {Kind::kUnloaded, "unloaded "},
                                                       {Kind::kCrashed, "crashed "}};
    std::lock_guard lock(mutex_);
    events_.push_back((e.retried ? "refused " : kNames.at(e.kind)) + e.loaded.model.name);
    loaded_ += e.kind == Kind::kLoaded ? 1 : e.kind == Kind::kLoadFailed ? 0 : -1;
    most_loaded_ = std::max(most_loaded_, loaded_);
  }

  std::mutex mutex_;
  std::vector<std::string> started_, events_;
  int64_t loaded_ = 0, most_loaded_ = 0;
  size_t n_descriptors_ = 0;
};

}  // namespace quipu::fleet::test
