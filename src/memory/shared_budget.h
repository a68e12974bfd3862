// What all models together are charged, on a page that the server and its runners share.
//
// A runner must not take what another was promised, and nobody could be asked about every block of 32 tokens.
// So each model has a slot here with what it is charged, and whoever wants more first writes that down, then
// adds everything up, and takes it back if the sum is too much: of two that do so at once at least one sees
// the other. Nothing waits, and there is no lock that a killed process could leave behind.
//
// The page is an anonymous file whose descriptor runners inherit, beside a second one, the bell, by which
// they say that they want more than is left (model_budget.h). Who has no server makes a page of its own.
//
// Runners read files of strangers. What a slot holds is taken as a number and no more: sums saturate, and a
// wrong number can keep others from growing, but never make them take what is not there.
//
// Threads: any, and any process; each slot has one writer besides whoever takes and clears it.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "memory/machine.h"

namespace quipu::memory {

// One model. Its charge is the fixed part and the larger of the KV cache it has and the least it was
// promised.
struct BudgetSlot {
  std::atomic<int32_t> pid{0};  // 0: it holds nothing yet
  std::atomic<uint32_t> taken{0};
  std::atomic<uint64_t> fixed{0}, kv_floor{0}, kv{0};
  // Bytes of KV cache that it waits for, beyond what it has; whoever looked for them counts the answers.
  std::atomic<uint64_t> wanted{0}, answers{0};
  // Nothing of it goes on: all its sequences wait for memory that other models have.
  std::atomic<uint32_t> waits{0};
  // So far: sequences that paused for want of memory. Here they outlive a process that is killed.
  std::atomic<uint64_t> preemptions{0};

  uint64_t charge() const;
  // By how much the charge would rise if the cache grew by so much.
  uint64_t rise(uint64_t kv_more) const;
  // What giving back everything that is cached could lower it by, at most.
  uint64_t above_floor() const;
};

class SharedBudget {
 public:
  static constexpr size_t kSlots = 1024;
  // What a runner has inherited, if it was given a slot.
  static constexpr int kPageDescriptor = 3, kBellDescriptor = 4;

  static Result<std::unique_ptr<SharedBudget>> create(const Bounds& bounds, const std::string& root = "");
  static Result<std::unique_ptr<SharedBudget>> inherit(int page = kPageDescriptor,
                                                       int bell = kBellDescriptor);
  ~SharedBudget();
  SharedBudget(const SharedBudget&) = delete;
  SharedBudget& operator=(const SharedBudget&) = delete;

  int page_descriptor() const { return page_fd_; }
  int bell_descriptor() const { return bell_fd_; }  // an eventfd
  void ring() const;

  std::optional<size_t> take_slot();  // nothing: all are taken
  void clear_slot(size_t slot);       // its process is gone
  BudgetSlot& slot(size_t i) const;
  uint64_t admitted() const;  // all charges
  uint64_t fixed() const;     // all charges without their KV
  // Whether there is another model than this one that does not wait.
  bool others_go_on(const BudgetSlot& except) const;

  // As it is now, by the bounds this was made with.
  Machine machine(const std::string& root = "") const;

 private:
  struct Page;
  SharedBudget() = default;
  Result<void> map();

  int page_fd_ = -1, bell_fd_ = -1;
  Page* page_ = nullptr;
};

}  // namespace quipu::memory
