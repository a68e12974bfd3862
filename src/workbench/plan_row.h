// A plan as the one JSON object that `plan --json`, `fit --json` and /api/plan share.
//
// Threads: pure functions.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "memory/alternatives.h"
#include "memory/machine.h"
#include "runner/memory_report.h"

namespace quipu::workbench {

using Json = nlohmann::ordered_json;

// {"model","memory","machine","charge","fits","alternatives"}. What a running model measures comes into
// `memory`.
Json plan_row(const std::string& model, const runner::Planned& p, const Json& machine,
              const std::vector<memory::Alternative>& alternatives, const Json& running_memory = nullptr);

// What people read of a plan and what its object does not say: how each number comes about, how the cache
// grows, and whether it fits. The member "texts" between `quipu plan` and a server.
Json plan_texts(const runner::Planned& p, const std::string& architecture, const std::string& quantization);

// What `quipu plan` prints of an object with its texts; what they do not say is left out.
std::string plan_text(const Json& row);

}  // namespace quipu::workbench
