// One model's side of the budget: what it was admitted with, and whether its KV cache may grow.
//
// What a load was promised (its charge) it may take as long as the machine has it at all, reserve included;
// what goes beyond needs room in the budget. Limits are read from the system again when they are older than a
// few milliseconds, and always before something is refused.
//
// Threads: admit() before all else; hold() and ask() from the one thread that grows the cache; the rest from
// any.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "memory/machine.h"
#include "memory/shared_budget.h"

namespace quipu::memory {

class ModelBudget {
 public:
  // With a page of its own: nobody else loads models.
  static Result<std::unique_ptr<ModelBudget>> alone(const Bounds& bounds, const std::string& root = "");
  // In a slot of a server's, inherited.
  static Result<std::unique_ptr<ModelBudget>> inherited(size_t slot);
  ModelBudget(std::unique_ptr<SharedBudget> page, size_t slot, bool has_server, const std::string& root = "");

  Machine machine() const;  // as it is now

  // Everything but KV, and the KV it shall have in any case. False: there is no room for both, and nothing is
  // charged.
  bool admit(uint64_t fixed, uint64_t kv_floor);

  // The cache wants to have so many bytes in all. False: it may not, and what it had stays noted. Less than
  // before is given back.
  bool hold(uint64_t kv);
  uint64_t room() const;  // bytes by which it may grow now

  // Others are to make room for so many bytes more: waits for the server to have asked them, but no longer
  // than `patience`. False: there is nobody to ask.
  bool ask(uint64_t kv_more, std::chrono::milliseconds patience = std::chrono::seconds(10));

  // Nothing of this model can go on before another gives something back: the KV that it was promised is for
  // whoever can, until come_back(). False, and nothing has changed: so many bytes of KV in all would not fit
  // if all others had none, and all others wait, too; or there is nobody else.
  bool give_way(uint64_t kv);
  bool come_back();  // false: what it was promised is not free

  void count_preemption();  // a sequence paused for want of memory

 private:
  struct Limits {
    uint64_t capacity = 0, budget = 0;
  };
  Limits limits(bool fresh) const;
  bool fits(bool promised, bool fresh) const;

  const std::unique_ptr<SharedBudget> page_;
  const std::string root_;
  const bool has_server_;
  BudgetSlot& slot_;
  uint64_t kv_floor_ = 0;  // while it does not give way, as in the slot

  mutable std::mutex mutex_;  // guards what follows
  mutable Limits limits_;
  mutable std::chrono::steady_clock::time_point read_{};
};

}  // namespace quipu::memory
