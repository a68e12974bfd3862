// A model's plan for this machine, and what the process measures beside it: the memory object of public
// answers.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "gguf/file.h"
#include "memory/alternatives.h"
#include "memory/ledger.h"
#include "memory/machine.h"
#include "memory/plan.h"
#include "model/model.h"
#include "runner/load_options.h"

namespace quipu::runner {

struct Planned {
  memory::ModelShape shape;
  memory::MemoryPlan plan;
  memory::RuntimeOptions options;  // n_ctx and n_parallel as decided
  int64_t wanted_n_ctx = 0;        // before anybody looked at the budget
  int n_threads = 1;
  std::string kv_type;  // "f16:f16"
  uint64_t free = 0;    // what it was held against: of the budget, what other models leave

  // What of a budget is left for the KV cache.
  uint64_t kv_room(uint64_t budget) const {
    const uint64_t fixed = plan.fixed();
    return budget > fixed ? budget - fixed : 0;
  }
};

// Pure but for the machine it is given. n_ctx above the trained length is lowered to it. Where none is given
// or it is a default that can be loaded, it is as long as the whole budget can hold one sequence: what else
// is loaded now may make room when it is needed, and a model's context should not depend on its company.
// projector_bytes: of the files beside the model's.
Planned plan_model(const gguf::File& file, const Model& model, const LoadOptions& load,
                   const memory::Machine& machine, uint64_t projector_bytes = 0);

// As many of its tokens as the budget can hold for one sequence, but no fewer than are of use.
int64_t longest_context(const Planned& p, uint64_t budget);

// What this process takes, from /proc/self/smaps.
struct Measured {
  uint64_t total = 0;    // PSS of all mappings
  uint64_t weights = 0;  // PSS of the model file's mappings
  uint64_t projector = 0;
  uint64_t runtime = 0;  // PSS of the program, libraries, heap, stacks
};
Measured measure(const std::vector<std::string>& model_paths,
                 const std::vector<std::string>& projector_paths);

// As Engine::KvUse has it.
struct KvState {
  uint64_t in_use = 0, cached = 0, planned = 0;
};

// What would make it fit, or fit well; empty where it does.
std::vector<memory::Alternative> alternatives(const gguf::File& file, const Planned& p);
nlohmann::ordered_json alternatives_json(const std::vector<memory::Alternative>& all);

nlohmann::ordered_json plan_json(const Planned& p);
nlohmann::ordered_json machine_json(const memory::Machine& m);
// Plan beside measured. KV's planned bytes are what the engine has committed now by its own count and the
// plan's size of a block; its measured ones are the ledger's.
nlohmann::ordered_json memory_json(const Planned& p, const Measured& m, const memory::Ledger& ledger,
                                   KvState kv);

// Of a memory object, what was measured of a category or of the "total"; nothing where it does not say.
std::optional<uint64_t> measured_in(const nlohmann::ordered_json& memory, const char* category);
// What a loaded model's memory object has measured, put beside what is planned, whose KV cache becomes the
// one that is there now. What is planned with other settings than it was loaded with has nothing beside it.
// False: that is so for some of it, or it is not loaded (null).
bool add_measured(nlohmann::ordered_json& memory, const nlohmann::ordered_json& loaded);

}  // namespace quipu::runner
