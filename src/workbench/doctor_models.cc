#include "workbench/doctor_models.h"

#include <optional>

#include "base/units.h"
#include "runner/load_options.h"
#include "runner/memory_report.h"
#include "workbench/named_file.h"

namespace quipu::workbench {

namespace {

using doctor::Finding;
using doctor::Status;

constexpr size_t kMostModels = 50, kMostFindings = 10;

// Nothing: its context fits, or it is not for this program to say.
std::optional<Finding> examine(const NamedFile& named, const runner::LoadOptions& defaults,
                               const memory::Machine& machine) {
  const auto opened = open_named_file(named);
  if (!opened) return std::nullopt;
  const auto plan = [&](const runner::LoadOptions& load) {
    return runner::plan_model(*opened->file, *opened->model, load, machine, opened->projector_bytes);
  };
  runner::LoadOptions load = defaults;
  load.n_parallel = 1;
  load.n_ctx = opened->n_ctx > 0 ? opened->n_ctx : opened->model->n_ctx_train();
  const runner::Planned whole = plan(load);
  const uint64_t needed = whole.plan.total() + whole.plan.kv_ceiling;
  if (needed <= machine.budget()) return std::nullopt;
  load.n_ctx = 0;  // as much as fits
  const runner::Planned fitting = plan(load);
  const bool loads = memory::fits(fitting.plan, fitting.options, machine.budget()) != memory::Fit::kNo;
  std::string text = fmt::format("{}: num_ctx {} needs {}, more than the {} for models", named.model,
                                 whole.options.n_ctx, format_bytes(needed), format_bytes(machine.budget()));
  if (!loads)
    return Finding{"model", Status::kWarn, std::move(text),
                   "take a smaller quantisation: quipu fit " + named.model};
  return Finding{"model", Status::kWarn, std::move(text),
                 fmt::format("PARAMETER num_ctx {} fits; or a smaller kv_cache_type", fitting.options.n_ctx)};
}

}  // namespace

std::vector<Finding> examine_models(const memory::Machine& machine) {
  const auto defaults = runner::default_load_options();
  if (!defaults) return {};
  const std::vector<NamedFile> models = list_named_files();
  std::vector<Finding> found;
  for (size_t i = 0; i < models.size() && i < kMostModels && found.size() < kMostFindings; ++i)
    if (auto f = examine(models[i], *defaults, machine)) found.push_back(std::move(*f));
  if (found.empty() && !models.empty())
    found.push_back({"models",
                     Status::kOk,
                     fmt::format("{} in the store, none with a context that does not fit", models.size()),
                     {}});
  return found;
}

}  // namespace quipu::workbench
