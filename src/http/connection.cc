#include "http/connection.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <utility>

#include "base/log.h"

namespace quipu::http {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using std::chrono::milliseconds;

// Of one client, always: where a request is small it is not what fills the memory.
constexpr size_t kSmall = 64 << 10;
// How long the last answer has to reach a client that is still sending: closing earlier would destroy it on
// its way.
constexpr milliseconds kLingerTime{2'000};
// More of a body that nobody wants is not read: a new connection is cheaper.
constexpr uint64_t kMostDiscarded = 256 << 10;
// While a client's early requests fill the buffer nothing is read, and its end is seen only by asking.
constexpr milliseconds kFullInputCheck{500};

constexpr const char* kSinkFailed = "the body could not be taken";

// Of the exception being handled.
std::string what_was_thrown() {
  try {
    throw;
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "something unknown";
  }
}

}  // namespace

template <class F>
auto Connection::guarded(F f) {
  return [self = shared_from_this(), f = std::move(f)](auto... args) mutable {
    try {
      f(args...);
    } catch (...) {
      spdlog::error("a connection is closed: {}", what_was_thrown());
      self->close();
    }
  };
}

Connection::Connection(ConnectionContext& context, Socket socket)
    : context_(context), socket_(std::move(socket)), timer_(context.io), held_(context.held) {}

Connection::~Connection() {
  if (exchange_) exchange_->detach();
  if (queue_) queue_->abandon();
}

void Connection::start() {
  set_deadline(context_.options.idle_timeout);
  watch();
}

void Connection::refuse() {
  refused_ = true;
  fail(503, "too many connections");
  watch();
}

void Connection::wind_down() {
  if (state_ == State::kRequest || state_ == State::kStoring) close();
}

void Connection::close() {
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  clear_deadline();
  error_code ignored;
  socket_.close(ignored);
  drop_sink();
  if (const auto exchange = std::exchange(exchange_, nullptr)) {
    exchange->detach();
    try {
      exchange->mark_gone();
    } catch (...) {
      spdlog::error("an on_gone handler threw: {}", what_was_thrown());
    }
  }
  context_.on_closed(shared_from_this());
}

// ---- input

void Connection::count_held() {
  const uint64_t bytes =
      in_.size() + (parser_ ? parser_->held_bytes() : 0) + (queue_ ? queue_->pending_bytes() : 0);
  held_.set(bytes);
  if (state_ == State::kRequest && bytes > kSmall && *context_.held > context_.options.max_held_bytes)
    fail(503, "the requests that are not answered yet fill the memory that there is for them");
}

bool Connection::input_full() const {
  return state_ == State::kAnswering &&
         in_.size() >= std::min<size_t>(context_.options.max_header_bytes, kSmall);
}

// The sink is behind. on_sink() goes on.
bool Connection::input_paused() const {
  return state_ == State::kStoring || (state_ == State::kRequest && queue_ && queue_->full());
}

void Connection::watch() {
  count_held();
  if (watching_ || eof_ || state_ == State::kClosed || input_paused()) return;
  if (input_full()) return watch_full_input();
  watching_ = true;
  socket_.async_wait(Socket::wait_read, guarded([this](error_code) {
                       watching_ = false;
                       if (state_ != State::kClosed) on_readable();
                     }));
}

void Connection::on_readable() {
  error_code ec;
  const size_t n = socket_.read_some(asio::buffer(context_.scratch.data(), context_.scratch.size()), ec);
  if (ec == asio::error::would_block || ec == asio::error::interrupted) return watch();
  if (ec == asio::error::eof) return on_end_of_input();
  if (ec) return close();
  if (state_ != State::kFailing && state_ != State::kLingering) in_.append(context_.scratch.data(), n);
  if (state_ == State::kRequest) parse();
  watch();
}

void Connection::on_end_of_input() {
  eof_ = true;
  // An answer that is complete still goes out; the client may have closed only its sending side.
  const bool answered = state_ == State::kAnswering && exchange_->answered();
  if (!answered && state_ != State::kFailing) close();
}

void Connection::parse() {
  while (state_ == State::kRequest) {
    if (!parser_) {
      while (in_.starts_with("\r\n")) in_.erase(0, 2);  // some clients put an empty line behind a body
      if (in_.empty()) return;
      parser_ = std::make_unique<RequestParser>(context_.options.max_header_bytes);
      invited_ = false;
      set_deadline(context_.options.header_timeout);
    }
    if (input_paused()) return clear_deadline();  // it is not the client that is late
    const bool had_header = parser_->header_done();
    in_.erase(0, parser_->feed(in_));
    if (!had_header && parser_->header_done() && !parser_->failed()) {
      admit();
      if (state_ != State::kRequest) return;
    }
    if (parser_->failed()) return fail(parser_->status(), parser_->problem());
    if (parser_->done()) {
      if (std::exchange(discarding_, false)) {
        parser_.reset();
        set_deadline(context_.options.idle_timeout);
      } else {
        dispatch();
      }
    } else if (!parser_->header_done()) {
      return;
    } else if (had_header || in_.empty()) {
      set_deadline(context_.options.body_timeout);
      if (!had_header && parser_->expects_continue()) send_continue();
      if (input_paused()) clear_deadline();
      return;
    }
  }
}

void Connection::admit() {
  Admission admission;
  if (context_.options.admit) {
    try {
      admission = context_.options.admit(parser_->head());
    } catch (...) {
      spdlog::error("the admission of a request threw: {}", what_was_thrown());
      return fail(500, "the request could not be read");
    }
  }
  if (admission.answer) return answer_early(std::move(admission.answer));
  const uint64_t limit =
      admission.max_body_bytes > 0 ? admission.max_body_bytes : context_.options.max_body_bytes;
  if (!admission.sink) return parser_->choose_body(limit);
  sink_ = std::move(admission.sink);
  queue_ =
      std::make_shared<BodyQueue>(sink_, context_.post_work, [&io = context_.io, weak = weak_from_this()] {
        asio::post(io, [weak] {
          if (const auto self = weak.lock()) self->guarded([self] { self->on_sink(); })();
        });
      });
  parser_->choose_body(limit, [this](std::string_view piece) {
    if (queue_) queue_->push(piece);
  });
}

void Connection::send_continue() {
  invited_ = true;
  out_ = {.front = "HTTP/1.1 100 Continue\r\n\r\n", .data = {}, .back = {}};
  write();
}

void Connection::on_sink() {
  if (!queue_ || (state_ != State::kRequest && state_ != State::kStoring)) return;
  if (queue_->failed()) return fail(500, kSinkFailed);
  if (queue_->refused()) {
    answer_early(std::nullopt);
  } else if (state_ == State::kStoring) {
    if (queue_->empty()) dispatch();
  } else if (!watching_ && !queue_->full()) {
    parse();
  }
  watch();
}

void Connection::drop_sink() {
  sink_.reset();
  if (const auto queue = std::exchange(queue_, nullptr)) queue->abandon();
}

// The whole request is in.
void Connection::dispatch() {
  if (queue_ && queue_->failed()) return fail(500, kSinkFailed);
  if (queue_ && !queue_->empty()) {
    state_ = State::kStoring;
    return clear_deadline();
  }
  begin_exchange();
  parser_.reset();
  call_handler();
}

// With `answer` or by the handler, while some of the request's body is still to come.
void Connection::answer_early(std::optional<Response> answer) {
  const std::optional<uint64_t> rest = parser_->rest_of_body();
  // A client that waits to be told to go on may, or may not, send the body after this answer.
  const bool uninvited = parser_->expects_continue() && !invited_ && in_.empty();
  const bool discard = rest && *rest <= kMostDiscarded && (*rest == 0 || !uninvited);
  begin_exchange();
  if (!discard) keep_alive_ = false;
  discarding_ = discard && *rest > 0;
  if (discarding_)
    parser_->discard_body();
  else
    parser_.reset();
  if (answer) {
    exchange_->respond(std::move(*answer));
    pump();
  } else {
    call_handler();
  }
}

void Connection::begin_exchange() {
  HeldBytes held(context_.held);
  held.set(parser_->held_bytes());
  Request request = parser_->take();
  keep_alive_ = parser_->keep_alive();
  encoder_.emplace(parser_->http11(), request.method == "HEAD");
  state_ = State::kAnswering;
  clear_deadline();
  if (writing_)
    set_deadline(context_.options.write_timeout);  // a "100 Continue" that the client has not taken

  woken_ = false;
  const auto wake = [this] {
    // Any thread, with the exchange's lock held: detach() waits for it, so `this` is there.
    if (woken_.exchange(true)) return;
    asio::post(context_.io, [weak = weak_from_this()] {
      if (const auto self = weak.lock()) {
        self->woken_ = false;
        self->guarded([self] { self->pump(); })();
      }
    });
  };
  exchange_ = std::make_shared<ExchangeState>(std::move(request), std::exchange(sink_, nullptr),
                                              context_.options.stream_queue_bytes, std::this_thread::get_id(),
                                              wake, std::move(held));
  drop_sink();
}

void Connection::call_handler() {
  try {
    context_.handler(std::make_shared<Exchange>(exchange_));
  } catch (...) {
    spdlog::error("a request handler threw: {}", what_was_thrown());
    exchange_->drop();
  }
  pump();
}

// ---- output

void Connection::pump() {
  while (state_ == State::kAnswering && !writing_) {
    ExchangeState::Step step = exchange_->take();
    if (step.empty()) {
      if (eof_ && !exchange_->answered()) close();
      return;
    }
    out_ = encoder_->encode(std::move(step), keep_alive_ && !context_.stopping);
    if (!out_.empty()) return write();
    exchange_->written(out_.counted);  // nothing of a stream is sent to a HEAD
    if (encoder_->finished()) return end_answer();
  }
}

void Connection::write() {
  writing_ = true;
  // For as long as a request comes in, its own deadline holds. (All there is to write then is "100
  // Continue".)
  const auto progress = [this](error_code ec, size_t) -> size_t {
    constexpr size_t kMostAtOnce = 64 << 10;
    if (!ec && state_ != State::kRequest && state_ != State::kStoring)
      set_deadline(context_.options.write_timeout);
    return ec ? 0 : kMostAtOnce;
  };
  const std::array<asio::const_buffer, 3> pieces = {asio::buffer(out_.front), asio::buffer(out_.data),
                                                    asio::buffer(out_.back)};
  asio::async_write(socket_, pieces, progress, guarded([this](error_code ec, size_t) { on_written(ec); }));
}

void Connection::on_written(error_code ec) {
  writing_ = false;
  if (state_ == State::kClosed) return;
  if (ec) return close();
  const size_t counted = out_.counted;
  out_ = {};
  switch (state_) {
    case State::kAnswering:
      clear_deadline();
      if (counted > 0) exchange_->written(counted);
      if (encoder_->finished()) return end_answer();
      if (input_full()) watch_full_input();
      return pump();
    case State::kFailing:
      if (failure_.empty()) return linger();
      out_.front = std::exchange(failure_, {});
      return write();
    default:
      return;  // a "100 Continue"
  }
}

void Connection::end_answer() {
  exchange_->detach();
  exchange_.reset();
  if (encoder_->cut()) {
    if (encoder_->ends_with_connection()) {
      // Unread bytes are lost with this, but a plain end would make the answer look whole.
      error_code ignored;
      socket_.set_option(asio::socket_base::linger(true, 0), ignored);
    }
    return close();
  }
  if (!encoder_->keep_alive() || context_.stopping) return linger();
  state_ = State::kRequest;
  set_deadline(discarding_ ? context_.options.body_timeout : context_.options.idle_timeout);
  parse();
  if (eof_ && state_ == State::kRequest) return close();
  watch();
}

void Connection::fail(int status, std::string_view sentence) {
  state_ = State::kFailing;
  AnswerEncoder encoder(true, false);
  ExchangeState::Step step;
  step.has_head = step.whole = step.last = true;
  step.head = error_response(status, sentence);
  AnswerEncoder::Bytes bytes = encoder.encode(std::move(step), false);
  failure_ = bytes.front + bytes.data;
  parser_.reset();  // the sentence may have been its own
  drop_sink();
  in_ = {};
  held_.set(0);
  if (writing_) {
    set_deadline(context_.options.write_timeout);
  } else {
    out_.front = std::exchange(failure_, {});
    write();
  }
}

void Connection::linger() {
  state_ = State::kLingering;
  in_ = {};
  if (eof_) return close();
  error_code ec;
  socket_.shutdown(Socket::shutdown_send, ec);
  if (ec) return close();
  set_deadline(kLingerTime);
  watch();
}

// ---- time

void Connection::set_deadline(milliseconds from_now) {
  timer_.expires_after(from_now);
  timer_.async_wait(guarded([this, mine = ++deadline_](error_code ec) {
    if (!ec && mine == deadline_) on_deadline();
  }));
}

void Connection::clear_deadline() {
  ++deadline_;
  timer_.cancel();
}

void Connection::on_deadline() {
  switch (state_) {
    case State::kRequest:
      if (!parser_ || discarding_) return close();
      return fail(
          408, parser_->header_done() ? "the body did not come in time" : "the header did not come in time");
    case State::kAnswering:
      if (!writing_ && input_full()) return watch_full_input();  // no deadline: time to ask again
      [[fallthrough]];
    default:
      return close();
  }
}

void Connection::watch_full_input() {
  if (writing_) return;  // the write will say
  pollfd hang_up{.fd = socket_.native_handle(), .events = POLLRDHUP, .revents = 0};
  if (::poll(&hang_up, 1, 0) == 1 && !exchange_->answered()) return close();
  set_deadline(kFullInputCheck);
}

}  // namespace quipu::http
