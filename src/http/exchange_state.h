// What an exchange's two ends share: the handler's threads put in, the connection takes out.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "http/exchange.h"
#include "http/held_bytes.h"

namespace quipu::http {

// Threads: the first group of functions from any thread, the second from the connection's thread only.
class ExchangeState {
 public:
  // wake: tells the connection that there is something to take(); called with the lock held, from any thread,
  // until detach(). held: the request's bytes.
  ExchangeState(Request request, std::shared_ptr<BodySink> sink, size_t queue_limit,
                std::thread::id io_thread, std::function<void()> wake, HeldBytes held = {});

  const Request& request() const { return request_; }
  const std::shared_ptr<BodySink>& sink() const { return sink_; }
  void respond(Response response);
  bool start(int status, Headers headers);
  Exchange::Push push(std::string_view chunk, bool wait);
  void finish();
  void abort();
  void drop();  // the handler's handle is gone
  bool gone() const;
  void on_gone(std::function<void()> f);

  // What is new since the last call.
  struct Step {
    bool has_head = false;
    bool whole = false;  // with has_head: head.body is all there is; else a stream begins
    Response head;
    std::string data;   // of the stream
    bool last = false;  // nothing will follow
    bool aborted = false;
    bool empty() const { return !has_head && data.empty() && !last && !aborted; }
  };
  Step take();
  void written(size_t bytes);  // of Step::data: makes room
  bool answered() const;       // the handler has said everything it will say
  void mark_gone();            // the client has left: tells the handler, unless it is done
  void detach();               // the connection will not call any more, and must not be called

 private:
  enum class Phase { kOpen, kStreaming, kDone };

  // Ends the handler's part; returns what has to be destroyed outside the lock.
  [[nodiscard]] std::function<void()> end_locked();
  void wake_locked();

  const HeldBytes held_;
  const Request request_;
  const std::shared_ptr<BodySink> sink_;
  const size_t queue_limit_;
  const std::thread::id io_thread_;

  mutable std::mutex mutex_;
  std::condition_variable room_;
  std::function<void()> wake_;
  std::function<void()> on_gone_;
  Phase phase_ = Phase::kOpen;
  Step next_;
  size_t unwritten_ = 0;  // bytes taken in by push() and not yet written to the socket
  bool gone_ = false;
};

}  // namespace quipu::http
