#include "memory/model_budget.h"

#include <unistd.h>

#include <algorithm>
#include <thread>

#include "base/checked.h"

namespace quipu::memory {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// Reading them takes a tenth of a millisecond; a step of the engine asks several times.
constexpr milliseconds kFresh{20};
constexpr milliseconds kLook{1};

uint64_t minus(uint64_t a, uint64_t b) { return a - std::min(a, b); }

}  // namespace

Result<std::unique_ptr<ModelBudget>> ModelBudget::alone(const Bounds& bounds, const std::string& root) {
  QUIPU_ASSIGN(auto page, SharedBudget::create(bounds, root));
  const size_t slot = page->take_slot().value_or(0);
  return std::make_unique<ModelBudget>(std::move(page), slot, false, root);
}

Result<std::unique_ptr<ModelBudget>> ModelBudget::inherited(size_t slot) {
  if (slot >= SharedBudget::kSlots) return error(Code::kInvalidArgument, "the budget has no slot {}", slot);
  QUIPU_ASSIGN(auto page, SharedBudget::inherit());
  return std::make_unique<ModelBudget>(std::move(page), slot, true);
}

ModelBudget::ModelBudget(std::unique_ptr<SharedBudget> page, size_t slot, bool has_server,
                         const std::string& root)
    : page_(std::move(page)), root_(root), has_server_(has_server), slot_(page_->slot(slot)) {
  slot_.pid = ::getpid();
}

Machine ModelBudget::machine() const { return page_->machine(root_); }

ModelBudget::Limits ModelBudget::limits(bool fresh) const {
  const std::lock_guard lock(mutex_);
  const auto now = Clock::now();
  if (fresh || now - read_ > kFresh || read_ == Clock::time_point()) {
    const Machine m = machine();
    limits_ = {m.capacity(), m.budget()};
    read_ = Clock::now();
  }
  return limits_;
}

bool ModelBudget::fits(bool promised, bool fresh) const {
  const Limits l = limits(fresh);
  return page_->admitted() <= (promised ? l.capacity : l.budget);
}

bool ModelBudget::admit(uint64_t fixed, uint64_t kv_floor) {
  slot_.kv_floor = kv_floor;
  slot_.fixed = fixed;
  kv_floor_ = kv_floor;
  if (fits(false, true)) return true;
  slot_.fixed = 0;
  slot_.kv_floor = 0;
  return false;
}

bool ModelBudget::hold(uint64_t kv) {
  const uint64_t before = slot_.kv;
  if (kv <= before) {
    slot_.kv = kv;
    return true;
  }
  const bool promised = slot_.rise(kv - before) == 0;
  slot_.kv = kv;
  if (fits(promised, false) || fits(promised, true)) return true;
  slot_.kv = before;
  return false;
}

uint64_t ModelBudget::room() const {
  const Limits l = limits(false);
  const uint64_t all = page_->admitted(), others = minus(all, slot_.charge());
  const uint64_t within = minus(minus(l.budget, others), slot_.fixed);
  const uint64_t promised = all <= l.capacity ? slot_.kv_floor.load() : 0;
  return minus(std::max(within, promised), slot_.kv);
}

bool ModelBudget::ask(uint64_t kv_more, milliseconds patience) {
  if (!has_server_ || kv_more == 0) return false;
  const uint64_t before = slot_.answers;
  slot_.wanted = slot_.waits == 0 ? kv_more : std::max(kv_more, minus(kv_floor_, slot_.kv));
  page_->ring();
  const auto until = Clock::now() + patience;
  while (slot_.answers == before && Clock::now() < until) std::this_thread::sleep_for(kLook);
  slot_.wanted = 0;
  return true;
}

bool ModelBudget::give_way(uint64_t kv) {
  if (!has_server_ || page_->admitted() <= slot_.charge()) return false;
  const auto alone = checked_add(page_->fixed(), kv);
  if (!page_->others_go_on(slot_) && (!alone || *alone > limits(true).budget)) return false;
  slot_.waits = 1;
  slot_.kv_floor = 0;
  return true;
}

bool ModelBudget::come_back() {
  slot_.kv_floor = kv_floor_;
  if (fits(false, true)) {
    slot_.waits = 0;
    return true;
  }
  slot_.kv_floor = 0;
  return false;
}

void ModelBudget::count_preemption() { ++slot_.preemptions; }

}  // namespace quipu::memory
