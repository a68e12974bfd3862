// Which instruction set the kernels run on. One process-wide table, set once at start.
#pragma once

#include "base/cpu.h"
#include "base/result.h"

namespace quipu::kernels {

// Chooses by cpuid and QUIPU_ISA (see choose_isa()). Called by every command before the first kernel; without
// it, the first use takes best_isa().
Result<void> init();

Isa active_isa();

// Tests only: switches the table; the caller makes sure no kernel is running and the processor can do it.
void set_isa_for_test(Isa isa);

}  // namespace quipu::kernels
