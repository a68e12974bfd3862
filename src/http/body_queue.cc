#include "http/body_queue.h"

#include <exception>
#include <utility>

#include "base/log.h"

namespace quipu::http {
namespace {

// Half of what one upload may hold: while one half is being written the other fills.
constexpr size_t kHalf = 512 << 10;

}  // namespace

BodyQueue::BodyQueue(std::shared_ptr<BodySink> sink, PostWork post, std::function<void()> wake)
    : post_(std::move(post)), sink_(std::move(sink)), wake_(std::move(wake)) {}

void BodyQueue::post_locked() {
  if (std::exchange(posted_, true)) return;
  post_([self = shared_from_this()] { self->work(); });
}

void BodyQueue::push(std::string_view piece) {
  std::lock_guard lock(mutex_);
  if (refused_ || failed_ || abandoned_) return;
  pending_.append(piece);
  post_locked();
}

size_t BodyQueue::pending_bytes() const {
  std::lock_guard lock(mutex_);
  return pending_.size();
}

bool BodyQueue::full() const { return pending_bytes() >= kHalf; }

bool BodyQueue::empty() const {
  std::lock_guard lock(mutex_);
  return pending_.empty() && !posted_;
}

bool BodyQueue::refused() const {
  std::lock_guard lock(mutex_);
  return refused_;
}

bool BodyQueue::failed() const {
  std::lock_guard lock(mutex_);
  return failed_;
}

void BodyQueue::abandon() {
  std::lock_guard lock(mutex_);
  abandoned_ = true;
  wake_ = nullptr;
  post_locked();
}

// One write, so that several uploads take turns.
void BodyQueue::work() {
  std::shared_ptr<BodySink> sink;
  {
    std::lock_guard lock(mutex_);
    if (abandoned_) {
      sink = std::move(sink_);  // let go below, outside the lock; this was the last task
      return;
    }
    writing_.swap(pending_);
    if (wake_) wake_();
    sink = sink_;
  }
  bool wanted = false, failed = false;
  try {
    wanted = sink->write(writing_);
  } catch (const std::exception& e) {
    spdlog::error("a request's body could not be taken: {}", e.what());
    failed = true;
  } catch (...) {
    spdlog::error("a request's body could not be taken");
    failed = true;
  }
  std::lock_guard lock(mutex_);
  writing_.clear();
  posted_ = false;
  failed_ = failed;
  refused_ = !wanted && !failed;
  if (!wanted) std::exchange(pending_, {});
  if (!pending_.empty() || abandoned_) post_locked();
  if (wake_) wake_();
}

}  // namespace quipu::http
