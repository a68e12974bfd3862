#include "workbench/doctor_models.h"

#include <sys/stat.h>

#include <optional>

#include "base/units.h"
#include "gguf/file.h"
#include "runner/load_options.h"
#include "runner/memory_report.h"
#include "store/layout.h"
#include "store/store.h"
#include "workbench/named_file.h"

namespace quipu::workbench {

namespace {

using doctor::Finding;
using doctor::Status;

constexpr size_t kMostModels = 50, kMostFindings = 10;

// Nothing: its context fits, or it is not for this program to say.
std::optional<Finding> examine(const std::string& name, const runner::LoadOptions& defaults,
                               const memory::Machine& machine) {
  const auto named = find_named_file(name);
  if (!named) return std::nullopt;
  const auto file = gguf::File::open(named->path);
  if (!file) return std::nullopt;
  const auto model = load_model(**file);
  if (!model) return std::nullopt;
  runner::LoadOptions load = defaults;
  load.n_parallel = 1;
  load.n_ctx = named->n_ctx > 0 ? named->n_ctx : (*model)->n_ctx_train();
  const runner::Planned whole = runner::plan_model(**file, **model, load, machine);
  const uint64_t needed = whole.plan.total() + whole.plan.kv_ceiling;
  if (needed <= machine.budget()) return std::nullopt;
  load.n_ctx = 0;  // as much as fits
  const runner::Planned fitting = runner::plan_model(**file, **model, load, machine);
  const bool loads = memory::fits(fitting.plan, fitting.options, machine.budget()) != memory::Fit::kNo;
  std::string text = fmt::format("{}: num_ctx {} needs {}, more than the {} for models", name,
                                 whole.options.n_ctx, format_bytes(needed), format_bytes(machine.budget()));
  if (!loads)
    return Finding{"model", Status::kWarn, std::move(text), "take a smaller quantisation: quipu fit " + name};
  return Finding{"model", Status::kWarn, std::move(text),
                 fmt::format("PARAMETER num_ctx {} fits; or a smaller kv_cache_type", fitting.options.n_ctx)};
}

}  // namespace

std::vector<Finding> examine_models(const memory::Machine& machine) {
  const store::Layout layout(store::default_root());
  struct stat facts{};
  if (stat(layout.manifests().c_str(), &facts) != 0) return {};
  const auto defaults = runner::default_load_options();
  const auto models = store::Store::open(layout.root());
  if (!defaults || !models) return {};
  const std::vector<ModelName> names = (*models)->list_names();
  std::vector<Finding> found;
  for (size_t i = 0; i < names.size() && i < kMostModels && found.size() < kMostFindings; ++i)
    if (auto f = examine(names[i].short_name(), *defaults, machine)) found.push_back(std::move(*f));
  if (found.empty() && !names.empty())
    found.push_back({"models",
                     Status::kOk,
                     fmt::format("{} in the store, none with a context that does not fit", names.size()),
                     {}});
  return found;
}

}  // namespace quipu::workbench
