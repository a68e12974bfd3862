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

// What a memory object has measured.
memory::MeasuredBytes measured_bytes(const Json& memory_object);

}  // namespace quipu::workbench
