// Which models of the store have a context that this machine cannot hold.
#pragma once

#include <cstdint>
#include <vector>

#include "doctor/findings.h"
#include "memory/machine.h"

namespace quipu::workbench {

// One finding for each such model, at most ten of them, or one that says all is well. Reads headers alone, of
// fifty models at most; what cannot be read is left to whoever runs it. Wants gguf::guard_mappings().
std::vector<doctor::Finding> examine_models(const memory::Machine& machine);

}  // namespace quipu::workbench
