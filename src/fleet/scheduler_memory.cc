// Room for the KV cache of a loaded model: what others have cached, then models that are idle.
//
// A runner whose cache may not grow, though it has dropped everything that it does not need itself, notes in
// its slot of the budget how much it wants, rings, and waits for the answer here: "look again". One is served
// after the other.
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>

#include "base/log.h"
#include "base/units.h"
#include "fleet/eviction.h"
#include "fleet/scheduler.h"

namespace quipu::fleet {
namespace {

namespace asio = boost::asio;
using asio::posix::stream_descriptor;
using boost::system::error_code;
using std::chrono::milliseconds;
using State = Loaded::State;

// A runner gives back what it has cached between two steps of its engine. One that takes longer is not waited
// for: it may itself be waiting for memory.
constexpr milliseconds kTrimPatience{2'000};

}  // namespace

memory::BudgetSlot* Scheduler::slot_of(const Entry& entry) const {
  return entry.slot ? &budget_->slot(*entry.slot) : nullptr;
}

void Scheduler::watch_bell() {
  if (budget_ == nullptr) return;
  if (!bell_.is_open()) bell_.assign(::dup(budget_->bell_descriptor()));
  bell_.async_wait(stream_descriptor::wait_read, [this](error_code ec) {
    if (ec) return;
    uint64_t rings = 0;
    if (::read(bell_.native_handle(), &rings, sizeof rings) > 0) pump();
    if (bell_.is_open()) watch_bell();
  });
}

Scheduler::EntryPtr Scheduler::who_asks() const {
  for (const EntryPtr& entry : entries_)
    if (entry->state == State::kReady && entry->slot && slot_of(*entry)->wanted > 0) return entry;
  return nullptr;
}

void Scheduler::drive_asks() {
  while (ask_ || who_asks() != nullptr) {
    if (!ask_) ask_ = Ask{.who = who_asks()};
    memory::BudgetSlot& slot = *slot_of(*ask_->who);
    const uint64_t wanted = slot.wanted;
    if (wanted > 0 && !stopping_ && slot.rise(wanted) > budget_->machine().free() && !others_give_way())
      return;
    slot.wanted = 0;
    ++slot.answers;
    ask_.reset();
  }
}

// False: they are about to. True: that was everything.
bool Scheduler::others_give_way() {
  const EntryPtr& who = ask_->who;
  if (!ask_->trimmed) {
    ask_->trimmed = true;
    if (could_trim(who.get()) > 0) ask_->trims = trim_others(who.get());
  }
  if (ask_->trims && *ask_->trims > 0) return false;
  if (std::exchange(ask_->trims, nullptr)) {  // look whether that was enough
    again_ = true;
    return false;
  }
  std::vector<Candidate> candidates;
  std::vector<EntryPtr> idle;
  for (const EntryPtr& entry : entries_) {
    if (entry->state == State::kStopping) return false;
    if (entry == who || entry->state != State::kReady || entry->running > 0) continue;
    candidates.push_back({entry->keep_alive, entry->key.model_path, true});
    idle.push_back(entry);
  }
  const auto victim = choose_victim(candidates);
  if (!victim) return true;
  spdlog::info("unloading {}: {} needs the memory", idle[*victim]->model.name, who->model.name);
  unload(*idle[*victim]);
  return false;
}

// What others have beyond what they were promised, at most; some of it may be in use.
uint64_t Scheduler::could_trim(const Entry* except) const {
  uint64_t bytes = 0;
  for (const EntryPtr& entry : entries_)
    if (entry.get() != except && entry->state == State::kReady && entry->slot)
      bytes += std::min(slot_of(*entry)->above_floor(), UINT64_MAX - bytes);
  return bytes;
}

Scheduler::Trims Scheduler::trim_others(const Entry* except) {
  const auto trims = std::make_shared<size_t>(0);
  for (const EntryPtr& entry : entries_) {
    if (entry.get() == except || entry->state != State::kReady || !entry->slot) continue;
    const memory::BudgetSlot& slot = *slot_of(*entry);
    if (slot.above_floor() == 0 || slot.wanted > 0) continue;
    const bool started = workers_.run([this, trims, link = entry->runner->link()] {
      if (const auto done = RunnerClient(link, kTrimPatience).trim(); !done)
        spdlog::debug("a model keeps what it has cached: {}", done.error().message);
      asio::post(io_, [this, trims] {
        --*trims;
        pump();
      });
    });
    *trims += started ? 1 : 0;
  }
  return trims;
}

}  // namespace quipu::fleet
