#include "fleet/runner.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "base/log.h"
#include "base/units.h"

namespace quipu::fleet {
namespace {

namespace asio = boost::asio;
using asio::posix::stream_descriptor;
using boost::system::error_code;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

// Whoever closed its output is about to end; this is for one that hangs in between.
constexpr milliseconds kLeavingPatience{5'000};
// A killed process that does not go is stuck in the kernel, and is left to it.
constexpr milliseconds kKilledPatience{10'000};
constexpr milliseconds kReapInterval{5};
constexpr nanoseconds kProgressInterval = std::chrono::seconds(1);
// What a process that only waits allocates and frees is no progress.
constexpr uint64_t kProgressBytes = 1 << 20;

}  // namespace

Result<std::shared_ptr<Runner>> Runner::start(asio::io_context& io, const RunnerOptions& options,
                                              nanoseconds load_timeout, Events events) {
  QUIPU_ASSIGN(auto process, spawn_runner(options));
  const std::shared_ptr<Runner> runner(new Runner(io, std::move(process), load_timeout, std::move(events)));
  runner->watch_output();
  runner->watch_errors();
  runner->watch_progress();
  return runner;
}

Runner::Runner(asio::io_context& io, std::unique_ptr<http::ChildServer> process, nanoseconds load_timeout,
               Events events)
    : output_(io, process->output()),
      errors_(io),
      progress_timer_(io),
      end_timer_(io),
      process_(std::move(process)),
      pid_(process_->pid()),
      load_timeout_(load_timeout),
      events_(std::move(events)) {
  if (process_->errors() >= 0) errors_.assign(process_->errors());
}

Runner::~Runner() { release_descriptors(); }

// They are the process's own.
void Runner::release_descriptors() {
  if (output_.is_open()) output_.release();
  if (errors_.is_open()) errors_.release();
}

void Runner::watch_output() {
  output_.async_wait(stream_descriptor::wait_read, [self = shared_from_this()](error_code ec) {
    if (!ec) self->on_output();
  });
}

void Runner::on_output() {
  auto said = read_ready(*process_);
  if (said && !asked_) {
    last_progress_ = Clock::now();
    progress_timer_.cancel();
    if (*said) {
      load_ns_ = (*said)->load_ns;
      if (load_ns_ <= 0) load_ns_ = std::chrono::nanoseconds(Clock::now() - started_).count();
      shared_->socket_path = process_->socket_path();
      shared_->info = std::move((*said)->info);
      shared_->memory = std::move((*said)->memory);
      link_ = shared_;
      events_.on_ready();
    } else {
      failure_ = std::move(*said).error();
      end(kLeavingPatience);
    }
  }
  if (!process_) return;
  if (!process_->output_closed()) return watch_output();
  if (!ending_) {
    kill_at_ = Clock::now() + kLeavingPatience;
    watch_end();
  }
}

void Runner::watch_errors() {
  if (!errors_.is_open()) return;
  errors_.async_wait(stream_descriptor::wait_read, [self = shared_from_this()](error_code ec) {
    if (ec || !self->process_) return;
    self->last_progress_ = Clock::now();
    if (self->process_->read_errors(self->events_.on_error_line)) self->watch_errors();
  });
}

// A load is making progress for as long as the model comes into memory (a large one's first pages leave it
// again), or the runner has something to say.
void Runner::watch_progress() {
  if (load_timeout_ <= nanoseconds(0)) return;
  progress_timer_.expires_after(
      std::clamp<nanoseconds>(load_timeout_ / 4, milliseconds(1), kProgressInterval));
  progress_timer_.async_wait([self = shared_from_this()](error_code ec) {
    if (!ec && self->process_ && !self->link_ && !self->ending_) self->check_progress();
  });
}

void Runner::check_progress() {
  const uint64_t resident = process_->resident_bytes();
  const auto now = Clock::now();
  if (std::max(resident, resident_) - std::min(resident, resident_) >= kProgressBytes) {
    resident_ = resident;
    last_progress_ = now;
  }
  if (now - last_progress_ < load_timeout_) return watch_progress();
  failure_ = Error{Code::kInternal,
                   fmt::format("timed out waiting for the runner to start: the load made no progress for {}",
                               format_duration_ns(load_timeout_.count())),
                   {}};
  end(milliseconds(0));
}

void Runner::end(milliseconds patience) {
  if (!process_) return;
  const auto by = Clock::now() + patience;
  if (!std::exchange(asked_, true)) process_->end();
  progress_timer_.cancel();
  if (ending_) {
    kill_at_ = std::min(kill_at_, by);
  } else {
    kill_at_ = by;
    watch_end();
  }
}

// Asks every few milliseconds: there is nothing to wait for that would work on every system, and it takes not
// long.
void Runner::watch_end() {
  ending_ = true;
  if (process_->ended()) {
    asio::post(end_timer_.get_executor(), [self = shared_from_this()] { self->gone(); });
    return;
  }
  const auto now = Clock::now();
  if (now >= kill_at_ + kKilledPatience) {
    spdlog::error("the runner with pid {} does not end though it was killed", pid_);
    asio::post(end_timer_.get_executor(), [self = shared_from_this()] { self->gone(); });
    return;
  }
  if (now >= kill_at_) process_->kill();
  end_timer_.expires_after(kReapInterval);
  end_timer_.async_wait([self = shared_from_this()](error_code ec) {
    if (!ec) self->watch_end();
  });
}

void Runner::gone() {
  if (!process_) return;
  process_->read_errors(events_.on_error_line);
  if (!failure_ && !asked_) failure_ = Error{Code::kInternal, process_->ending(), {}};
  release_descriptors();
  progress_timer_.cancel();
  end_timer_.cancel();
  process_.reset();
  shared_->end->set(failure_ ? failure_->message : "");
  const Events events = std::exchange(events_, {});
  events.on_gone(std::move(failure_));
}

}  // namespace quipu::fleet
