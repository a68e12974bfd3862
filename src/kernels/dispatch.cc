#include "kernels/dispatch.h"

#include <atomic>

namespace quipu::kernels {

namespace {

// The one global of the kernels (ARCHITECTURE.md): which instruction set runs. -1: not chosen yet.
std::atomic<int> g_isa{-1};

}  // namespace

Result<void> init() {
  QUIPU_ASSIGN(const Isa isa, choose_isa());
  g_isa.store(static_cast<int>(isa), std::memory_order_relaxed);
  return {};
}

Isa active_isa() {
  int isa = g_isa.load(std::memory_order_relaxed);
  if (isa < 0) {
    isa = static_cast<int>(best_isa());
    g_isa.store(isa, std::memory_order_relaxed);
  }
  return static_cast<Isa>(isa);
}

void set_isa_for_test(Isa isa) { g_isa.store(static_cast<int>(isa), std::memory_order_relaxed); }

}  // namespace quipu::kernels
