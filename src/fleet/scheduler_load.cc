// Loads and unloads: the part of the scheduler that decides which runners there are.
#include <algorithm>

#include "base/json_members.h"
#include "base/log.h"
#include "base/units.h"
#include "fleet/eviction.h"
#include "fleet/log_line.h"
#include "fleet/memory_facts.h"
#include "fleet/scheduler.h"

namespace quipu::fleet {
namespace {

using boost::system::error_code;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::system_clock;
using State = Loaded::State;

// A runner that is asked to end finishes its step first; a large model's takes about a second. When
// everything ends nobody waits that long.
constexpr milliseconds kUnloadPatience{5'000}, kStopPatience{1'000};

}  // namespace

void Scheduler::drive_load() {
  while (load_ || pick_load()) {
    const auto group = groups_.find(load_->key);
    if (group == groups_.end() || group->second.empty()) {  // nobody waits for it any more
      if (load_->entry && load_->goes_on && !stopping_) return;
      if (load_->entry) unload(*load_->entry);
      end_load();
      continue;
    }
    if (load_->entry || stopping_) return;
    switch (make_room()) {
      case Room::kNotYet:
        return;
      case Room::kThere:
        if (start_load(group->second)) return;
        [[fallthrough]];
      case Room::kNever:
        end_load();
    }
  }
}

// The model for which somebody has waited longest, of those whose load can begin.
bool Scheduler::pick_load() {
  const Key* best = nullptr;
  uint64_t oldest = 0;
  for (const auto& [key, waiting] : groups_) {
    if (waiting.empty() || (best != nullptr && waiting.front().ticket > oldest)) continue;
    if (!can_begin(key)) continue;
    best = &key;
    oldest = waiting.front().ticket;
  }
  if (best == nullptr) return false;
  load_ = Load{.key = *best};
  return true;
}

// Not while a runner has the same file: it may serve them, or has to go first. What blocks one model blocks
// no other.
bool Scheduler::can_begin(const Key& key) {
  const auto it = std::ranges::find(
      entries_, key.model_path, [](const EntryPtr& e) -> const std::string& { return e->key.model_path; });
  if (it == entries_.end()) return true;
  Entry& entry = **it;
  if (entry.key != key && entry.state == State::kReady && !entry.expiring) {
    tell_to_go(entry, &Entry::expiring, newest_ticket_);
    again_ = true;  // it may be idle
  }
  return false;
}

Scheduler::Room Scheduler::make_room() {
  if (load_->refused && !load_->trimmed && load_->missing > 0 && could_trim(nullptr) >= load_->missing) {
    load_->trimmed = true;
    load_->trims = trim_others(nullptr);
  }
  if (load_->trims) {
    if (*load_->trims > 0) return Room::kNotYet;
    load_->trims.reset();
    load_->refused = false;
  }
  if (!load_->refused && entries_.size() < static_cast<size_t>(options_.max_loaded)) return Room::kThere;
  std::vector<Candidate> candidates;
  std::vector<EntryPtr> ready;
  bool some_will_go = false, marked = false;
  for (const EntryPtr& entry : entries_) {
    if (entry->state == State::kStopping) return Room::kNotYet;
    some_will_go |= entry->expiring;
    marked |= entry->marked;
    candidates.push_back({entry->keep_alive, entry->key.model_path, entry->running == 0});
    ready.push_back(entry);
  }
  const auto victim = choose_victim(candidates);
  if (!victim) return Room::kNever;
  if (candidates[*victim].idle) {
    spdlog::info("unloading {} to make room", ready[*victim]->model.name);
    unmark_all();
    unload(*ready[*victim]);
  } else if (!some_will_go && !marked) {
    tell_to_go(*ready[*victim], &Entry::marked, newest_ticket_);
  }
  return Room::kNotYet;
}

bool Scheduler::start_load(Group& group) {
  const Waiting& head = group.front();
  const ModelRef& model = head.job.model;
  const auto entry = std::make_shared<Entry>(io_, load_->key, model);
  entry->keep_alive = head.job.keep_alive.value_or(options_.keep_alive);
  entry->num_ctx = head.job.num_ctx;

  RunnerOptions options;
  options.program = options_.program;
  options.model = model.model_path;
  options.projectors = model.projector_paths;
  options.num_ctx = number_at(model.default_options, {"num_ctx"});
  if (options.num_ctx == 0) options.num_ctx = options_.load.num_ctx;
  options.parallel = options_.n_parallel;
  options.kv_cache_type = text_at(model.default_options, "kv_cache_type");
  if (options.kv_cache_type.empty()) options.kv_cache_type = options_.load.kv_cache_type;
  if (head.job.num_ctx != options.num_ctx) options.wished_num_ctx = head.job.num_ctx;
  if (head.job.kv_cache_type != options.kv_cache_type) options.wished_kv_cache_type = head.job.kv_cache_type;
  options.threads = options_.load.threads;
  options.capture_errors = true;
  if (budget_ != nullptr) entry->slot = budget_->take_slot();
  if (entry->slot) {
    options.budget = budget_;
    options.budget_slot = *entry->slot;
  }
  const auto on_line = [this, model](std::string_view line) {
    const LogLine said = parse_log_line(line);
    if (options_.log)
      guarded("the fleet's log", [&] { options_.log(model, said.level, said.text); });
    else
      spdlog::log(said.level, "{}: {}", model.name, said.text);
  };
  auto runner =
      Runner::start(io_, options, options_.load_timeout,
                    {.on_ready = [this, entry] { on_ready(entry); },
                     .on_gone = [this, entry](std::optional<Failure> f) { on_gone(entry, std::move(f)); },
                     .on_error_line = on_line});
  if (!runner) {
    if (entry->slot) budget_->clear_slot(*entry->slot);
    spdlog::error("cannot load {}: {}", model.name, runner.error().message);
    fail_group(load_->key, runner.error());
    return false;
  }
  entry->runner = std::move(*runner);
  spdlog::info("loading {} from {}: pid {}", model.name, model.model_path, entry->runner->pid());
  load_->entry = entry;
  load_->refused = false;
  entries_.push_back(entry);
  return true;
}

void Scheduler::end_load() {
  load_.reset();
  unmark_all();
}

void Scheduler::on_ready(const EntryPtr& entry) {
  if (entry->state != State::kLoading) return;
  entry->state = State::kReady;
  const int64_t load_ns = entry->runner->load_ns();
  if (const auto group = groups_.find(entry->key); group != groups_.end())
    for (Waiting& w : group->second) w.load_ns = load_ns;
  end_load();
  report(FleetEvent::Kind::kLoaded, *entry, load_ns, {});
  pump();
}

void Scheduler::on_gone(const EntryPtr& entry, std::optional<Failure> failure) {
  std::erase(entries_, entry);
  const State was = std::exchange(entry->state, State::kStopping);
  entry->idle_timer.cancel();
  if (entry->slot) {
    entry->preemptions = slot_of(*entry)->preemptions;
    budget_->clear_slot(*std::exchange(entry->slot, std::nullopt));
  }
  if (ask_ && ask_->who == entry) ask_.reset();
  if (load_ && load_->entry != entry) load_->refused = false;  // there is more room than there was
  const std::string why = failure ? failure->message : "the runner ended";
  switch (was) {
    case State::kLoading:
      on_load_failed(entry, failure ? std::move(*failure) : Failure(Error{Code::kInternal, why, {}}));
      break;
    case State::kReady:
      report(FleetEvent::Kind::kCrashed, *entry, 0, why);
      break;
    case State::kStopping:
      if (entry->runner->link() == nullptr) {
        spdlog::info("gave up loading {}", entry->model.name);
      } else {
        report(FleetEvent::Kind::kUnloaded, *entry, 0, {});
      }
      break;
  }
  pump();
}

void Scheduler::on_load_failed(const EntryPtr& entry, Failure why) {
  load_->entry = nullptr;
  const bool again = why.code == Code::kOutOfMemory && !entries_.empty() && !exceeds_budget(why.plan);
  report(FleetEvent::Kind::kLoadFailed, *entry, 0, why.message, again);
  if (again) {
    load_->refused = true;
    load_->missing = missing_bytes(why.plan);
  } else {
    fail_group(entry->key, why);
    end_load();
  }
}

void Scheduler::expire(const std::string& model_path) {
  for (const EntryPtr& entry : entries_) {
    if (entry->key.model_path != model_path) continue;
    if (entry->state == State::kLoading) {
      entry->keep_alive = nanoseconds(0);  // after the jobs that wait for it
    } else {
      tell_to_go(*entry, &Entry::expiring, 0);
    }
  }
  pump();
}

void Scheduler::tell_to_go(Entry& entry, bool Entry::* how, uint64_t last_ticket) {
  if (!entry.expiring) entry.told_to_go = system_clock::now();
  entry.last_ticket = entry.expiring || entry.marked ? std::min(entry.last_ticket, last_ticket) : last_ticket;
  entry.*how = true;
}

void Scheduler::unmark_all() {
  for (const EntryPtr& entry : entries_) again_ |= std::exchange(entry->marked, false);
}

void Scheduler::settle(Entry& entry) {
  if (entry.state != State::kReady) return;
  if (entry.running > 0) {
    entry.idle_since.reset();
    ++entry.idle_turn;
    entry.idle_timer.cancel();
  } else if (stopping_ || entry.expiring || entry.keep_alive == nanoseconds(0)) {
    unload(entry);
  } else if (!entry.idle_since) {
    begin_idle(entry);
  }
}

void Scheduler::begin_idle(Entry& entry) {
  entry.idle_since = system_clock::now();
  if (entry.keep_alive < nanoseconds(0)) return;
  entry.idle_timer.expires_after(entry.keep_alive);
  entry.idle_timer.async_wait(
      [this, self = entry.shared_from_this(), turn = ++entry.idle_turn](error_code ec) {
        if (ec || turn != self->idle_turn || self->state != State::kReady) return;
        unload(*self);
        pump();
      });
}

void Scheduler::unload(Entry& entry) {
  if (std::exchange(entry.state, State::kStopping) != State::kStopping && !entry.expiring)
    entry.told_to_go = system_clock::now();
  ++entry.idle_turn;
  entry.idle_timer.cancel();
  entry.runner->end(stopping_ ? kStopPatience : kUnloadPatience);
}

Loaded Scheduler::describe(const Entry& entry) const {
  Loaded out;
  out.model = entry.model;
  out.state = entry.state;
  out.pid = entry.runner->pid();
  if (const auto& link = entry.runner->link()) {
    out.info = link->info;
    out.memory = link->memory;
  }
  out.bytes = held_bytes(entry.model, out.memory);
  out.preemptions = entry.preemptions;
  if (const memory::BudgetSlot* slot = slot_of(entry)) {
    out.charge = slot->charge();
    out.preemptions = slot->preemptions;
  }
  out.n_ctx = entry.num_ctx > 0 ? entry.num_ctx : number_at(out.info, {"num_ctx"});
  out.expires_at = expiry_of(entry);
  out.running = entry.running;
  if (const auto group = groups_.find(entry.key); group != groups_.end()) out.waiting = group->second.size();
  return out;
}

void Scheduler::report(FleetEvent::Kind kind, const Entry& entry, int64_t load_ns, std::string why,
                       bool retried) {
  if (!options_.on_event) return;
  const Loaded loaded = describe(entry);
  guarded("the fleet's on_event", [&] {
    options_.on_event(
        {.kind = kind, .loaded = loaded, .load_ns = load_ns, .why = std::move(why), .retried = retried});
  });
}

}  // namespace quipu::fleet
