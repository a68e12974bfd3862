// Between a connection, which must not wait, and a sink, which may: the pieces of one body.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "http/body_sink.h"

namespace quipu::http {

// Runs a task on another thread, some time.
using PostWork = std::function<void(std::function<void()> task)>;

// Held by shared_ptr: a task that waits for its turn keeps it.
//
// Threads: everything public on the connection's thread; the sink is written to on those of `post`.
class BodyQueue : public std::enable_shared_from_this<BodyQueue> {
 public:
  // wake: some of the answers below have changed; called on any thread until abandon().
  BodyQueue(std::shared_ptr<BodySink> sink, PostWork post, std::function<void()> wake);

  void push(std::string_view piece);
  size_t pending_bytes() const;
  bool full() const;     // no more should be read for now; wake() comes when that changes
  bool empty() const;    // the sink has taken everything
  bool refused() const;  // the sink wants no more; what was queued is gone
  bool failed() const;   // the sink threw

  // The connection has no more to do with this: nothing is written and nobody is woken any more, and the sink
  // is let go where waiting does no harm.
  void abandon();

 private:
  void post_locked();
  void work();

  const PostWork post_;

  mutable std::mutex mutex_;
  std::shared_ptr<BodySink> sink_;
  std::function<void()> wake_;
  std::string pending_;  // next
  std::string writing_;  // with the sink; touched by the task alone
  bool posted_ = false;  // a task is on its way or running
  bool refused_ = false, failed_ = false, abandoned_ = false;
};

}  // namespace quipu::http
