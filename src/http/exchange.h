// One request and the way to answer it: whole, or as a stream that another thread writes.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "http/body_sink.h"
#include "http/message.h"

namespace quipu::http {

class ExchangeState;

// Either respond() once, or start(), then push() as often as needed, then finish(). Whatever comes after the
// end is ignored. An exchange that is dropped without an answer is answered with 500; a stream that is
// dropped before finish() is cut, so that the client sees it is incomplete.
//
// Threads: every call from any thread, also after the server is gone. Calls that write are meant for one
// thread at a time: chunks are sent in the order of the calls.
class Exchange {
 public:
  explicit Exchange(std::shared_ptr<ExchangeState> state);
  ~Exchange();
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  const Request& request() const;
  // Where the body went, if not into the request. It knows itself whether it took all of it.
  const std::shared_ptr<BodySink>& sink() const;

  // The whole answer. Content-Length and Connection are the transport's own; give the rest.
  void respond(Response response);

  // The head of a stream, sent at once. False: the client is gone, or there was an answer already.
  bool start(int status, Headers headers);

  enum class Push { kTaken, kFull, kGone };
  // Never waits. kFull: the queue holds ServerOptions::stream_queue_bytes or more that the client has not
  // taken yet, and this chunk was not added. (A chunk is added whole as long as the queue is below the
  // limit.)
  Push try_push(std::string_view chunk);
  // Waits while the queue is full; false: the client is gone (or the server stops). On the server's own
  // thread, where waiting would stop everything, a full queue gives false as well.
  bool push(std::string_view chunk);
  void finish();
  // Cuts the connection: the client sees an answer that is not complete.
  void abort();

  // True from the moment the server knows that the client has hung up; noticed also while there is nothing to
  // send. A client that only closes its sending side counts as gone: over TCP the two look the same.
  bool gone() const;
  // f is called once, when the client goes (or the server stops) before respond() or finish(); at once if
  // that has happened already. It runs on the server's thread and must return soon; it is dropped when the
  // exchange ends. It may hold the exchange.
  void on_gone(std::function<void()> f);

 private:
  std::shared_ptr<ExchangeState> state_;
};

}  // namespace quipu::http
