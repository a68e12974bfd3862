// Which models are loaded: a runner process for each, the jobs that wait for one, and when it is unloaded
// again.
//
// A job waits, if need be, until its model's runner is loaded and has a place for it; then it runs on a
// thread of its own, and talks to the runner in the protocol of docs/runner-protocol.md. Jobs of one model
// are taken in their order. Models are loaded one at a time, in the order in which somebody began to wait for
// them. When another model has to go first, it is asked for no more than what it had to do at that moment.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "fleet/failure.h"
#include "fleet/runner_client.h"
#include "memory/machine.h"

namespace quipu::fleet {

struct ModelRef {
  std::string name = {};    // as it is shown
  std::string digest = {};  // of its manifest, as it is shown
  // The file with the weights. Models that have it in common (and their projectors) share one runner, which
  // is shown by the name that loaded it.
  std::string model_path = {};
  std::vector<std::string> projector_paths = {};
  // The model's own run options. Of these only num_ctx and kv_cache_type are looked at, for the load: they
  // are what a request has that gives none. Options never make a loaded model load again.
  Json default_options = nullptr;
  // For whoever lists what is loaded: how it was when it was loaded, whatever became of its name since.
  Json details = nullptr;
};

// What every runner is started with.
struct LoadFlags {
  int64_t num_ctx = 0;             // of models without one of their own; 0: the runner decides
  std::string kv_cache_type = {};  // empty: the runner's default
  int64_t threads = 0;             // 0: the runner decides
};

// A model in memory, on its way there, or leaving.
struct Loaded {
  enum class State { kLoading, kReady, kStopping };
  ModelRef model;  // of the job that loaded it
  State state = State::kLoading;
  pid_t pid = -1;
  Json info = nullptr;    // the runner's /info; null: not known yet
  Json memory = nullptr;  // the memory object; null: not known yet
  Json engine = nullptr;  // what its engine counts, of list_measured(): "running", "waiting" and others
  uint64_t bytes =
      0;  // what the runner holds: measured, planned, or the size of its files, as far as is known
  uint64_t charge = 0;       // of the budget: memory::charge
  uint64_t preemptions = 0;  // so far, up to its end: sequences that paused for want of memory
  int64_t n_ctx = 0;         // of one sequence, as the last job asked for it; 0: not known yet
  // When it is unloaded if nothing more comes; nothing: never. In the past, with jobs running: as soon as
  // they end.
  std::optional<std::chrono::system_clock::time_point> expires_at;
  size_t running = 0, waiting = 0;  // jobs: at the runner, in the fleet's queue
};

// For logs and metrics. The fleet itself logs none of these.
struct FleetEvent {
  enum class Kind {
    kLoaded,
    kLoadFailed,  // `retried`: for want of memory, and it will be tried again once there is more
    kUnloaded,
    kCrashed,  // a loaded runner ended by itself
  };
  Kind kind;
  const Loaded& loaded;  // as it was
  int64_t load_ns = 0;   // of kLoaded
  std::string why = {};  // one sentence: of failures and crashes
  bool retried = false;
};

struct FleetOptions {
  std::string program = "/proc/self/exe";  // "runner" and its flags are its arguments
  int64_t n_parallel = 4;                  // jobs that one runner has at once
  int64_t max_loaded = 3;                  // runners; 0 or less: 3
  // Jobs that may wait, over all models; the one for which a model is being loaded does not count. One more
  // fails with kUnavailable.
  int64_t max_queue = 512;
  // How long a load may take without any progress; 0 or less: for ever.
  std::chrono::nanoseconds load_timeout = std::chrono::minutes(5);
  // How long a model stays loaded after its last job; 0: no time at all, negative: for ever.
  std::chrono::nanoseconds keep_alive = std::chrono::minutes(5);
  LoadFlags load = {};
  memory::Bounds bounds = {};  // of what all models may take together
  // A line that a runner wrote to its log. Empty: it goes to ours. Called on the fleet's thread: must return
  // soon.
  std::function<void(const ModelRef& model, spdlog::level::level_enum level, std::string_view text)> log = {};
  std::function<void(const FleetEvent&)> on_event = {};  // the same holds for this
};

// A job's place at its runner. It and what it gives are there until run() returns.
// Threads: the job's.
class Lease {
 public:
  struct State;
  explicit Lease(State& state) : state_(state) {}
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

  RunnerClient& runner();
  const Json& info() const;   // the runner's /info
  int64_t load_ns() const;    // of the load that this job waited for; 0: the model was loaded
  int64_t waited_ns() const;  // from submit() until now that it runs
  bool cancelled() const;     // nobody wants the result; calls of the runner fail
  uint64_t ticket() const;

 private:
  State& state_;
};

// Exactly one of run, fail and too_late is called, once.
struct Job {
  ModelRef model;
  // Replaces how long the model stays loaded after its last job, from the moment this one runs: 0, negative
  // as in FleetOptions. Absent: as it is, or FleetOptions::keep_alive where this job loads it.
  std::optional<std::chrono::nanoseconds> keep_alive = {};
  // What it will ask the runner for; 0 and empty: the runner's. A model that does not fit with its own is
  // loaded with these.
  int64_t num_ctx = 0;
  std::string kv_cache_type = {};
  // It has no tokens computed (a load, a prompt that is only rendered): takes no place at the runner, and
  // goes before those that wait for one.
  bool light = false;
  // It does not wait beyond this. What is being loaded for it goes on, for whoever asks next: else a model
  // that takes longer would never be there for anybody. It does not end a job that runs.
  std::chrono::steady_clock::time_point deadline = std::chrono::steady_clock::time_point::max();
  // May wait for as long as the request lasts. Must return soon after it was cancelled. May not throw.
  std::function<void(Lease& lease)> run = {};
  // On the fleet's thread, or within submit(): must return soon. Codes: kCancelled; kUnavailable (too many
  // wait, or the fleet is stopping); else why the model could not be loaded, with its plan if it does not fit
  // (kOutOfMemory).
  std::function<void(const Failure& why)> fail = {};
  // On the fleet's thread, when the deadline has come: must return soon.
  std::function<void()> too_late = {};
};

// Threads: any.
class Fleet {
 public:
  explicit Fleet(FleetOptions options);
  ~Fleet();  // stop(0)
  Fleet(const Fleet&) = delete;
  Fleet& operator=(const Fleet&) = delete;

  // Never waits. The ticket is the job's name from now on; it may have failed already.
  uint64_t submit(Job job);
  // A job that waits fails with kCancelled; of one that runs the lease is cancelled. Nothing happens when it
  // is over.
  void cancel(uint64_t ticket);
  // Unloads it as soon as the jobs that run now are done. Jobs that wait, and new ones, load it again.
  void expire(const std::string& model_path);

  // Latest expiry first. The memory object is the one of the load.
  std::vector<Loaded> list() const;
  // The same, with memory asked from every runner now. Waits for them, each for at most two seconds.
  std::vector<Loaded> list_measured() const;
  size_t n_waiting() const;  // jobs
  // The machine as it is now, with what the loaded models are charged.
  memory::Machine budget() const;

  // No more jobs; those that wait fail with kUnavailable, those that run get `grace` and are cancelled then.
  // Returns when all have returned and every runner has ended. Not from a job or a callback. A second call
  // does nothing.
  void stop(std::chrono::milliseconds grace);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace quipu::fleet
