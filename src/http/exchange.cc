#include <utility>

#include "http/exchange_state.h"

namespace quipu::http {

ExchangeState::ExchangeState(Request request, std::shared_ptr<BodySink> sink, size_t queue_limit,
                             std::thread::id io_thread, std::function<void()> wake, HeldBytes held)
    : held_(std::move(held)),
      request_(std::move(request)),
      sink_(std::move(sink)),
      queue_limit_(queue_limit),
      io_thread_(io_thread),
      wake_(std::move(wake)) {}

std::function<void()> ExchangeState::end_locked() {
  phase_ = Phase::kDone;
  wake_locked();
  return std::exchange(on_gone_, nullptr);
}

void ExchangeState::wake_locked() {
  if (wake_) wake_();
}

void ExchangeState::respond(Response response) {
  std::function<void()> dropped;  // its destructor may come back to us: after the lock is released
  std::lock_guard lock(mutex_);
  if (phase_ != Phase::kOpen || gone_) return;
  next_.has_head = next_.whole = next_.last = true;
  next_.head = std::move(response);
  dropped = end_locked();
}

bool ExchangeState::start(int status, Headers headers) {
  std::lock_guard lock(mutex_);
  if (phase_ != Phase::kOpen || gone_) return false;
  phase_ = Phase::kStreaming;
  next_.has_head = true;
  next_.head.status = status;
  next_.head.headers = std::move(headers);
  wake_locked();
  return true;
}

Exchange::Push ExchangeState::push(std::string_view chunk, bool wait) {
  std::unique_lock lock(mutex_);
  const auto writable = [&] { return phase_ != Phase::kStreaming || gone_ || unwritten_ < queue_limit_; };
  if (wait && std::this_thread::get_id() != io_thread_) room_.wait(lock, writable);
  if (phase_ != Phase::kStreaming || gone_) return Exchange::Push::kGone;
  if (!writable()) return Exchange::Push::kFull;
  if (chunk.empty()) return Exchange::Push::kTaken;
  next_.data.append(chunk);
  unwritten_ += chunk.size();
  wake_locked();
  return Exchange::Push::kTaken;
}

void ExchangeState::finish() {
  std::function<void()> dropped;
  std::lock_guard lock(mutex_);
  if (phase_ != Phase::kStreaming) return;
  next_.last = true;
  dropped = end_locked();
}

void ExchangeState::abort() {
  std::function<void()> dropped;
  std::lock_guard lock(mutex_);
  if (phase_ == Phase::kDone) return;
  next_.aborted = true;
  dropped = end_locked();
  room_.notify_all();
}

void ExchangeState::drop() {
  bool unanswered = false;
  {
    std::lock_guard lock(mutex_);
    unanswered = phase_ == Phase::kOpen;
  }
  if (unanswered) {
    respond(error_response(500, "no answer was given"));
  } else {
    abort();
  }
}

bool ExchangeState::gone() const {
  std::lock_guard lock(mutex_);
  return gone_;
}

void ExchangeState::on_gone(std::function<void()> f) {
  std::function<void()> dropped;
  {
    std::lock_guard lock(mutex_);
    if (phase_ == Phase::kDone) return;
    if (!gone_) {
      dropped = std::exchange(on_gone_, std::move(f));
      return;
    }
  }
  f();
}

ExchangeState::Step ExchangeState::take() {
  std::lock_guard lock(mutex_);
  Step step = std::exchange(next_, {});
  // What ended the stream keeps being true for whoever asks again.
  next_.last = step.last;
  next_.aborted = step.aborted;
  return step;
}

void ExchangeState::written(size_t bytes) {
  std::lock_guard lock(mutex_);
  unwritten_ -= bytes;
  if (unwritten_ < queue_limit_) room_.notify_all();
}

bool ExchangeState::answered() const {
  std::lock_guard lock(mutex_);
  return phase_ == Phase::kDone;
}

void ExchangeState::mark_gone() {
  std::function<void()> tell;
  {
    std::lock_guard lock(mutex_);
    gone_ = true;
    tell = std::exchange(on_gone_, nullptr);
    room_.notify_all();
  }
  if (tell) tell();
}

void ExchangeState::detach() {
  std::lock_guard lock(mutex_);
  wake_ = nullptr;
}

Exchange::Exchange(std::shared_ptr<ExchangeState> state) : state_(std::move(state)) {}
Exchange::~Exchange() { state_->drop(); }

const Request& Exchange::request() const { return state_->request(); }
const std::shared_ptr<BodySink>& Exchange::sink() const { return state_->sink(); }
void Exchange::respond(Response response) { state_->respond(std::move(response)); }
bool Exchange::start(int status, Headers headers) { return state_->start(status, std::move(headers)); }
Exchange::Push Exchange::try_push(std::string_view chunk) { return state_->push(chunk, false); }
bool Exchange::push(std::string_view chunk) { return state_->push(chunk, true) == Push::kTaken; }
void Exchange::finish() { state_->finish(); }
void Exchange::abort() { state_->abort(); }
bool Exchange::gone() const { return state_->gone(); }
void Exchange::on_gone(std::function<void()> f) { state_->on_gone(std::move(f)); }

}  // namespace quipu::http
