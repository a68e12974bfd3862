// What the fleet does, on the one thread that runs `io`: who waits, who runs, what is loaded, what has to go.
//
// A model's jobs wait in its group. pump() is called after everything that happens: it gives places to jobs,
// unloads what is done, and drives the one load that is going on. scheduler.cc has the jobs,
// scheduler_load.cc the loads, scheduler_memory.cc what makes room for the caches of those that are loaded.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/function_ref.h"
#include "fleet/fleet.h"
#include "fleet/runner.h"
#include "fleet/workers.h"
#include "memory/shared_budget.h"

namespace quipu::fleet {

struct Lease::State {
  State(std::shared_ptr<const RunnerLink> l, uint64_t t) : link(std::move(l)), ticket(t), client(link) {}

  const std::shared_ptr<const RunnerLink> link;
  const uint64_t ticket;
  RunnerClient client;
  int64_t load_ns = 0, waited_ns = 0;
};

// Threads: that of `io`, but for the construction.
class Scheduler {
 public:
  using Clock = std::chrono::steady_clock;

  // budget: what the runners share; null: each is on its own.
  Scheduler(boost::asio::io_context& io, const FleetOptions& options, Workers& workers,
            memory::SharedBudget* budget);

  void submit(uint64_t ticket, Job job, Clock::time_point submitted);
  void cancel(uint64_t ticket);
  void expire(const std::string& model_path);

  struct Seen {
    Loaded loaded;
    std::shared_ptr<const RunnerLink> link;  // null: not ready
  };
  std::vector<Seen> look() const;  // latest expiry first
  size_t n_waiting() const { return n_waiting_; }

  // on_stopped: nothing runs and nothing is loaded any more.
  void stop(std::chrono::milliseconds grace, std::function<void()> on_stopped);

 private:
  // Jobs of the same key can share a runner. No two runners have the same path.
  struct Key {
    std::string model_path;
    std::vector<std::string> projector_paths;
    auto operator<=>(const Key&) const = default;
  };
  struct Waiting {
    uint64_t ticket;
    Job job;
    Clock::time_point submitted;
    int64_t load_ns = 0;
    std::optional<boost::asio::steady_timer> deadline = {};
  };
  using Group = std::deque<Waiting>;

  struct Entry : std::enable_shared_from_this<Entry> {
    Entry(boost::asio::io_context& io, Key k, ModelRef m)
        : key(std::move(k)), model(std::move(m)), idle_timer(io) {}

    const Key key;
    const ModelRef model;
    Loaded::State state = Loaded::State::kLoading;
    std::shared_ptr<Runner> runner;
    std::optional<size_t> slot;  // in the budget
    uint64_t preemptions = 0;    // what was noted there when it ended
    std::chrono::nanoseconds keep_alive{};
    int64_t num_ctx = 0;              // the last job's; 0: the runner's
    size_t running = 0, n_light = 0;  // jobs; the light ones among them

    // It has to go when its jobs are done, and jobs with a later ticket than the last wait for its successor:
    bool expiring = false;  // in any case
    bool marked = false;    // if the load that wants its place still does
    uint64_t last_ticket = 0;
    std::chrono::system_clock::time_point told_to_go;

    boost::asio::steady_timer idle_timer;
    uint64_t idle_turn = 0;  // tells one wait of the timer from the one before
    std::optional<std::chrono::system_clock::time_point> idle_since;

    bool accepts(uint64_t ticket) const {
      return state == Loaded::State::kReady && (!(expiring || marked) || ticket <= last_ticket);
    }
  };
  using EntryPtr = std::shared_ptr<Entry>;

  struct Running {
    std::shared_ptr<Lease::State> lease;
    std::weak_ptr<Entry> entry;
    bool light = false;
  };

  // Runners that are dropping what they have cached; how many still are.
  using Trims = std::shared_ptr<size_t>;

  // The load that is going on.
  struct Load {
    Key key;
    EntryPtr entry = {};   // null: room is being made
    bool refused = false;  // it did not fit: others have to give way before the next attempt
    uint64_t missing = 0;  // bytes, then
    bool trimmed = false;  // others were asked for what they have cached, which comes before unloading them
    Trims trims = {};
    bool goes_on = false;  // though nobody waits for it
  };

  // The runner for whose cache others make room now.
  struct Ask {
    EntryPtr who;
    bool trimmed = false;
    Trims trims = {};
  };

  static Key key_of(const ModelRef& model) { return {model.model_path, model.projector_paths}; }

  void pump();

  // Jobs.
  void start_jobs(Entry& entry);
  void start_job(Entry& entry, Waiting waiting);
  void finish(uint64_t ticket);
  std::optional<Job> take_waiting(uint64_t ticket);
  void wait_no_longer(uint64_t ticket);
  size_t n_queued() const;
  void fail_group(const Key& key, const Failure& why);
  void fail(Job& job, const Failure& why);
  // Calls what is not ours: whatever it throws ends in the log.
  static void guarded(const char* what, FunctionRef<void()> f);

  // Loads.
  void drive_load();
  bool pick_load();
  bool can_begin(const Key& key);
  enum class Room { kThere, kNotYet, kNever };
  Room make_room();
  bool start_load(Group& group);
  void end_load();
  void on_ready(const EntryPtr& entry);
  void on_gone(const EntryPtr& entry, std::optional<Failure> failure);
  void on_load_failed(const EntryPtr& entry, Failure why);

  // Room for caches.
  void watch_bell();
  void drive_asks();
  EntryPtr who_asks() const;
  bool others_give_way();
  uint64_t could_trim(const Entry* except) const;
  Trims trim_others(const Entry* except);
  memory::BudgetSlot* slot_of(const Entry& entry) const;

  // What is loaded.
  void tell_to_go(Entry& entry, bool Entry::* how, uint64_t last_ticket);
  void unmark_all();
  void settle(Entry& entry);
  void begin_idle(Entry& entry);
  void unload(Entry& entry);
  Loaded describe(const Entry& entry) const;
  std::optional<std::chrono::system_clock::time_point> expiry_of(const Entry& entry) const;
  void report(FleetEvent::Kind kind, const Entry& entry, int64_t load_ns, std::string why,
              bool retried = false);

  void cut();
  void check_stopped();

  boost::asio::io_context& io_;
  const FleetOptions options_;
  Workers& workers_;

  std::map<Key, Group> groups_;
  size_t n_waiting_ = 0;  // in all groups
  uint64_t newest_ticket_ = 0;
  std::vector<EntryPtr> entries_;  // every runner that there is, until its process is gone
  std::map<uint64_t, Running> running_;
  std::optional<Load> load_;
  memory::SharedBudget* const budget_;
  boost::asio::posix::stream_descriptor bell_;
  std::optional<Ask> ask_;
  bool again_ = false;  // pump() has changed something that it had looked at

  bool stopping_ = false;
  boost::asio::steady_timer grace_timer_;
  std::function<void()> on_stopped_;
};

}  // namespace quipu::fleet
