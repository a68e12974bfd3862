// One client's connection: requests in, one at a time, answers out in the same order.
#pragma once

#include <array>
#include <atomic>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "http/answer_encoder.h"
#include "http/body_queue.h"
#include "http/exchange_state.h"
#include "http/held_bytes.h"
#include "http/request_parser.h"
#include "http/server.h"

namespace quipu::http {

class Connection;

// What all connections of a server have in common. It outlives them.
struct ConnectionContext {
  boost::asio::io_context& io;
  const ServerOptions& options;
  const Handler& handler;
  std::span<char> scratch;  // to read into: an idle connection holds no buffer of its own
  bool stopping = false;    // no answer keeps its connection open any more
  HeldTotal held = std::make_shared<std::atomic<uint64_t>>(0);  // bytes of requests
  std::function<void(const std::shared_ptr<Connection>&)> on_closed;
  PostWork post_work;  // to threads that may wait
};

// It is always waiting for input, whatever else it does: while an answer is being made, that is how it learns
// that the client has left. Whatever has completion handlers in flight keeps the connection alive; close()
// ends them all.
//
// Threads: the server's, apart from the exchange's calls, which only post.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using Socket = boost::asio::generic::stream_protocol::socket;

  Connection(ConnectionContext& context, Socket socket);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void start();
  void refuse();     // answers 503 without reading a request, instead of start()
  void wind_down();  // the server stops: at most the running answer is finished
  void close();      // at once; tells the exchange

  bool refused() const { return refused_; }

 private:
  enum class State {
    kRequest,    // idle, or a request is coming in
    kStoring,    // a request is in, and its sink has not taken all of the body yet
    kAnswering,  // a request is with the handler, or its answer on the way
    kFailing,    // an answer of our own is on the way, the last one
    kLingering,  // everything is said; what the client still sends is thrown away, for a while
    kClosed,
  };

  // Input.
  void watch();
  void on_readable();
  void on_end_of_input();
  void parse();
  void admit();
  void send_continue();
  void on_sink();
  void drop_sink();
  void dispatch();
  void answer_early(std::optional<Response> answer);
  void begin_exchange();
  void call_handler();
  void count_held();
  bool input_full() const;
  bool input_paused() const;

  // Output.
  void pump();
  void write();
  void on_written(boost::system::error_code ec);
  void end_answer();
  void fail(int status, std::string_view sentence);
  void linger();

  // Time.
  void set_deadline(std::chrono::milliseconds from_now);
  void clear_deadline();
  void on_deadline();
  void watch_full_input();

  // A completion handler that keeps this alive, and whose exceptions (memory has run out) end this connection
  // alone.
  template <class F>
  auto guarded(F f);

  ConnectionContext& context_;
  Socket socket_;
  boost::asio::steady_timer timer_;
  uint64_t deadline_ = 0;  // tells a timer that has been set anew from the one before

  State state_ = State::kRequest;
  bool refused_ = false;
  bool watching_ = false;                  // a wait for input is pending
  bool eof_ = false;                       // the client has closed its sending side
  std::string in_;                         // read and not yet taken by a parser
  std::unique_ptr<RequestParser> parser_;  // of a request that has begun
  HeldBytes held_;                         // by those two, and for the sink
  bool invited_ = false;                   // it was told to go on
  bool discarding_ = false;                // it is answered, and the rest of its body is thrown away
  std::shared_ptr<BodySink> sink_;         // of that request
  std::shared_ptr<BodyQueue> queue_;       // in front of the sink

  std::shared_ptr<ExchangeState> exchange_;  // the request being answered
  std::optional<AnswerEncoder> encoder_;
  bool keep_alive_ = false;  // the client's wish
  std::atomic<bool> woken_ = false;

  bool writing_ = false;
  AnswerEncoder::Bytes out_;  // on its way
  std::string failure_;       // to be written once nothing else is
};

}  // namespace quipu::http
