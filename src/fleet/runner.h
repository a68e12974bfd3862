// One runner from its start to its end, seen from the fleet's thread: what its process says and does becomes
// events.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "fleet/runner_link.h"
#include "fleet/runner_process.h"

namespace quipu::fleet {

// Held by shared_ptr, which its pending waits hold too.
//
// Threads: the one that runs `io`; events come from its loop, never from within a call.
class Runner : public std::enable_shared_from_this<Runner> {
 public:
  struct Events {
    std::function<void()> on_ready;
    // The process is gone, and this is its last event. `failure` says why it never became ready, or what
    // ended it though it was not asked to.
    std::function<void(std::optional<Failure> failure)> on_gone;
    std::function<void(std::string_view line)> on_error_line;
  };

  // load_timeout: without progress; 0 or less: never.
  ~Runner();
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;
  static Result<std::shared_ptr<Runner>> start(boost::asio::io_context& io, const RunnerOptions& options,
                                               std::chrono::nanoseconds load_timeout, Events events);

  pid_t pid() const { return pid_; }
  // After on_ready.
  const std::shared_ptr<const RunnerLink>& link() const { return link_; }
  int64_t load_ns() const { return load_ns_; }

  // Ends it; kills it if that takes longer than `patience`. on_gone comes in either case. Further calls can
  // only make it quicker.
  void end(std::chrono::milliseconds patience);

 private:
  using Clock = std::chrono::steady_clock;

  Runner(boost::asio::io_context& io, std::unique_ptr<http::ChildServer> process,
         std::chrono::nanoseconds load_timeout, Events events);
  void release_descriptors();
  void watch_output();
  void on_output();
  void watch_errors();
  void watch_progress();
  void check_progress();
  void watch_end();
  void gone();

  boost::asio::posix::stream_descriptor output_, errors_;
  boost::asio::steady_timer progress_timer_, end_timer_;
  std::unique_ptr<http::ChildServer> process_;
  const pid_t pid_;
  const std::chrono::nanoseconds load_timeout_;
  Events events_;

  const std::shared_ptr<RunnerLink> shared_ = std::make_shared<RunnerLink>();
  std::shared_ptr<const RunnerLink> link_;  // that, once it is filled in
  int64_t load_ns_ = 0;
  const Clock::time_point started_ = Clock::now();

  uint64_t resident_ = 0;  // at last_progress_
  Clock::time_point last_progress_ = Clock::now();

  bool asked_ = false;   // end() was called
  bool ending_ = false;  // its end is being waited for
  Clock::time_point kill_at_;
  std::optional<Failure> failure_;
};

}  // namespace quipu::fleet
