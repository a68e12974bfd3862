#include "fleet/scheduler.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <exception>

#include "base/log.h"

namespace quipu::fleet {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::system_clock;

// As Ollama says it.
constexpr const char* kBusy = "server busy, please try again.  maximum pending requests exceeded";
constexpr const char* kStopping = "the server is shutting down";

// Light jobs of a model at once: each has a thread.
constexpr size_t kMostLight = 16;

// Longer than this is for ever; it also keeps points in time within what they can hold.
constexpr nanoseconds kForEver = std::chrono::hours(24 * 365 * 100);

nanoseconds bounded(nanoseconds keep_alive) { return keep_alive > kForEver ? nanoseconds(-1) : keep_alive; }

FleetOptions bounded(FleetOptions options) {
  options.n_parallel = std::max<int64_t>(options.n_parallel, 1);
  if (options.max_loaded <= 0) options.max_loaded = FleetOptions().max_loaded;
  options.max_queue = std::max<int64_t>(options.max_queue, 0);
  options.keep_alive = bounded(options.keep_alive);
  return options;
}

}  // namespace

Scheduler::Scheduler(asio::io_context& io, const FleetOptions& options, Workers& workers,
                     memory::SharedBudget* budget)
    : io_(io), options_(bounded(options)), workers_(workers), budget_(budget), bell_(io), grace_timer_(io) {
  watch_bell();
}

void Scheduler::pump() {
  do {
    again_ = false;
    for (const EntryPtr& entry : std::vector<EntryPtr>(entries_)) {
      start_jobs(*entry);
      settle(*entry);
    }
    drive_load();
    drive_asks();
  } while (again_);
  std::erase_if(groups_, [](const auto& group) { return group.second.empty(); });
  check_stopped();
}

// ---- jobs

void Scheduler::submit(uint64_t ticket, Job job, Clock::time_point submitted) {
  if (stopping_) return fail(job, Error{Code::kUnavailable, kStopping, {}});
  if (job.keep_alive) job.keep_alive = bounded(*job.keep_alive);
  newest_ticket_ = std::max(newest_ticket_, ticket);
  const Key key = key_of(job.model);
  Waiting& waiting =
      groups_[key].emplace_back(Waiting{.ticket = ticket, .job = std::move(job), .submitted = submitted});
  if (waiting.job.deadline != Clock::time_point::max()) {
    waiting.deadline.emplace(io_, waiting.job.deadline).async_wait([this, ticket](error_code ec) {
      if (!ec) wait_no_longer(ticket);
    });
  }
  ++n_waiting_;
  pump();
  // Only now is it known whether it has to wait.
  if (n_queued() <= static_cast<size_t>(options_.max_queue)) return;
  const auto group = groups_.find(key);
  if (group == groups_.end() || group->second.empty() || group->second.back().ticket != ticket) return;
  Job refused = std::move(group->second.back().job);
  group->second.pop_back();
  --n_waiting_;
  pump();
  fail(refused, Error{Code::kUnavailable, kBusy, {}});
}

// Without the one for which a model is being loaded: it is being served.
size_t Scheduler::n_queued() const {
  const bool in_hand = load_ && groups_.contains(load_->key) && !groups_.at(load_->key).empty();
  return n_waiting_ - (in_hand ? 1 : 0);
}

void Scheduler::start_jobs(Entry& entry) {
  const auto group = groups_.find(entry.key);
  if (group == groups_.end()) return;
  Group& waiting = group->second;
  for (size_t i = 0; i < waiting.size() && entry.accepts(waiting[i].ticket);) {
    const bool place = waiting[i].job.light
                           ? entry.n_light < kMostLight
                           : entry.running - entry.n_light < static_cast<size_t>(options_.n_parallel);
    if (!place) {
      ++i;
      continue;
    }
    Waiting next = std::move(waiting[i]);
    waiting.erase(waiting.begin() + static_cast<Group::difference_type>(i));
    --n_waiting_;
    start_job(entry, std::move(next));
  }
}

void Scheduler::start_job(Entry& entry, Waiting waiting) {
  const uint64_t ticket = waiting.ticket;
  const auto lease = std::make_shared<Lease::State>(entry.runner->link(), ticket);
  lease->load_ns = waiting.load_ns;
  lease->waited_ns = nanoseconds(Clock::now() - waiting.submitted).count();
  const auto keep_alive = waiting.job.keep_alive;
  const int64_t num_ctx = waiting.job.num_ctx;
  const bool light = waiting.job.light;
  const auto job = std::make_shared<Job>(std::move(waiting.job));
  const bool started = workers_.run([this, lease, ticket, job] {
    Lease place(*lease);
    guarded("a job's run", [&] { job->run(place); });
    job->run = nullptr;  // with what it holds
    job->fail = nullptr;
    asio::post(io_, [this, ticket] { finish(ticket); });
  });
  if (!started) return fail(*job, Error{Code::kUnavailable, "the system has no more threads", {}});
  if (keep_alive) entry.keep_alive = *keep_alive;
  if (num_ctx > 0) entry.num_ctx = num_ctx;
  ++entry.running;
  entry.n_light += light ? 1 : 0;
  running_.emplace(ticket, Running{lease, entry.weak_from_this(), light});
}

void Scheduler::finish(uint64_t ticket) {
  const auto node = running_.extract(ticket);
  if (node.empty()) return;
  if (const EntryPtr entry = node.mapped().entry.lock()) {
    --entry->running;
    entry->n_light -= node.mapped().light ? 1 : 0;
  }
  pump();
}

void Scheduler::cancel(uint64_t ticket) {
  if (const auto it = running_.find(ticket); it != running_.end()) return it->second.lease->client.cancel();
  auto job = take_waiting(ticket);
  if (!job) return;
  pump();
  fail(*job, Error{Code::kCancelled, "request canceled", {}});
}

// Nothing: it does not wait (any more).
std::optional<Job> Scheduler::take_waiting(uint64_t ticket) {
  for (auto& [key, waiting] : groups_) {
    const auto it = std::ranges::find(waiting, ticket, &Waiting::ticket);
    if (it == waiting.end()) continue;
    Job job = std::move(it->job);
    waiting.erase(it);
    --n_waiting_;
    return job;
  }
  return std::nullopt;
}

void Scheduler::wait_no_longer(uint64_t ticket) {
  auto job = take_waiting(ticket);
  if (!job) return;
  if (load_ && load_->entry && load_->key == key_of(job->model)) load_->goes_on = true;
  pump();
  if (job->too_late) guarded("a job's too_late", [&] { job->too_late(); });
}

void Scheduler::fail_group(const Key& key, const Failure& why) {
  const auto node = groups_.extract(key);
  if (node.empty()) return;
  n_waiting_ -= node.mapped().size();
  for (Waiting& w : node.mapped()) fail(w.job, why);
}

void Scheduler::fail(Job& job, const Failure& why) {
  if (job.fail) guarded("a job's fail", [&] { job.fail(why); });
}

void Scheduler::guarded(const char* what, FunctionRef<void()> f) {
  try {
    f();
  } catch (const std::exception& e) {
    spdlog::error("{} threw: {}", what, e.what());
  } catch (...) {
    spdlog::error("{} threw", what);
  }
}

// ---- what is loaded, seen from outside

std::optional<system_clock::time_point> Scheduler::expiry_of(const Entry& entry) const {
  if (entry.state == Loaded::State::kStopping || entry.expiring) return entry.told_to_go;
  if (entry.keep_alive < nanoseconds(0)) return std::nullopt;
  const auto from = entry.idle_since.value_or(system_clock::now());
  return from + std::chrono::duration_cast<system_clock::duration>(entry.keep_alive);
}

std::vector<Scheduler::Seen> Scheduler::look() const {
  std::vector<Seen> out;
  for (const EntryPtr& entry : entries_) out.push_back({describe(*entry), entry->runner->link()});
  std::ranges::sort(out, [](const Seen& a, const Seen& b) {
    const auto &x = a.loaded.expires_at, &y = b.loaded.expires_at;
    if (x == y) return a.loaded.model.model_path < b.loaded.model.model_path;
    return x && y ? *x > *y : !x;
  });
  return out;
}

// ---- the end

void Scheduler::stop(milliseconds grace, std::function<void()> on_stopped) {
  stopping_ = true;
  on_stopped_ = std::move(on_stopped);
  while (!groups_.empty()) fail_group(Key(groups_.begin()->first), Error{Code::kUnavailable, kStopping, {}});
  if (grace <= milliseconds(0)) {
    cut();
  } else {
    grace_timer_.expires_after(grace);
    grace_timer_.async_wait([this](error_code ec) {
      if (!ec) cut();
    });
  }
  pump();
}

void Scheduler::cut() {
  for (auto& [ticket, running] : running_) running.lease->client.cancel();
  for (const EntryPtr& entry : std::vector<EntryPtr>(entries_)) unload(*entry);
}

void Scheduler::check_stopped() {
  if (!stopping_ || !entries_.empty() || !running_.empty() || !on_stopped_) return;
  grace_timer_.cancel();
  bell_.close();
  std::exchange(on_stopped_, nullptr)();
}

}  // namespace quipu::fleet
