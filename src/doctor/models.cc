#include "doctor/models.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "base/checked.h"
#include "base/json_members.h"
#include "base/units.h"

namespace quipu::doctor {

namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

constexpr size_t kMostModels = 50, kMostFindings = 10;                 // one screen
constexpr std::chrono::milliseconds kForAll{10'000}, kForOne{3'000};   // one takes some milliseconds
constexpr int64_t kLeastContext = 4, kMostContext = int64_t{1} << 30;  // what a plan may be asked for

// For one plan.
std::chrono::milliseconds patience(Clock::time_point until) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now());
  return std::clamp(left, std::chrono::milliseconds(0), kForOne);
}

PlanRequest request_of(const StoredModel& m, uint64_t budget, int64_t n_parallel) {
  return {.path = m.path,
          .projector = m.projector,
          .budget = budget,
          .n_parallel = n_parallel,
          .n_ctx = m.n_ctx > 0 ? std::clamp(m.n_ctx, kLeastContext, kMostContext) : kMostContext,
          .kv_cache_type = m.kv_cache_type,
          .threads = m.threads};
}

// Everything, and the cache of one sequence at its full length.
uint64_t most_bytes(const Json& plan, int64_t n_parallel) {
  const Json &memory = object_at(plan, "memory"), &kv = object_at(memory, "kv");
  const uint64_t fixed = bytes_at(object_at(memory, "total"), "planned") - bytes_at(kv, "planned");
  return checked_add(fixed, bytes_at(kv, "ceiling") / static_cast<uint64_t>(n_parallel)).value_or(UINT64_MAX);
}

// `n_ctx` fits a model that is loaded for one sequence; what it needs for the others' output leaves this.
int64_t fitting_beside_outputs(const ModelSource& source, StoredModel m, uint64_t budget, int64_t n_ctx,
                               Clock::time_point until) {
  if (m.n_parallel <= 1) return n_ctx;
  m.n_ctx = n_ctx;
  const auto plan = source.plan(request_of(m, budget, m.n_parallel), patience(until));
  if (!plan) return n_ctx;
  const uint64_t needed = most_bytes(*plan, m.n_parallel),
                 of_token = std::max<uint64_t>(
                     bytes_at(object_at(object_at(*plan, "memory"), "kv"), "bytes_per_token"), 1);
  if (needed <= budget) return n_ctx;
  const uint64_t most = static_cast<uint64_t>(n_ctx), over = (needed - budget) / of_token + 1;
  return static_cast<int64_t>((most - std::min(most, over)) / 32 * 32);
}

// A change of the plan in the words of whoever makes it; empty: there is no setting for it.
std::string as_setting(const std::string& change, const StoredModel& m) {
  if (change.find(',') != change.npos) return {};
  if (change.starts_with("num_ctx="))
    return fmt::format("PARAMETER num_ctx {} in its Modelfile{}", change.substr(8),
                       m.says_n_ctx ? "" : " (QUIPU_CONTEXT_LENGTH: for all)");
  if (change.starts_with("kv_cache_type=")) return "QUIPU_KV_CACHE_TYPE=" + change.substr(14);
  return {};
}

// The finding for a model that does not fit.
Finding too_large(const ModelSource& source, const std::string& name, const StoredModel& m, const Json& plan,
                  uint64_t budget, Clock::time_point until) {
  int64_t n_ctx = m.n_ctx > 0 ? m.n_ctx : m.n_ctx_train;
  if (m.n_ctx_train > 0) n_ctx = std::min(n_ctx, m.n_ctx_train);
  const bool not_at_all = text_at(plan, "fits") == "no";
  std::string fitting, remedy, other;
  if (const auto all = plan.find("alternatives"); all != plan.end() && all->is_array())
    for (const Json& one : *all) {
      if (!one.is_object() || text_at(one, "fits") != "yes") continue;
      std::string change = text_at(one, "change");
      if (change.starts_with("num_ctx=")) {
        const int64_t n = std::atoll(change.c_str() + 8),
                      left = fitting_beside_outputs(source, m, budget, n, until);
        if (left < kLeastContext) continue;
        change = fmt::format("num_ctx={}", left);
      }
      const std::string setting = as_setting(change, m);
      if (setting.starts_with("PARAMETER")) fitting = change.substr(8);
      if (!setting.empty())
        remedy += (remedy.empty() ? "" : ", or ") + setting;
      else if (other.empty())
        other = change;  // another file, or several changes at once
    }
  if (remedy.empty())
    remedy = other.empty() ? "a smaller model, a file with fewer bits, or a larger QUIPU_MEMORY" : other;
  if (not_at_all)
    return {"model", Status::kWarn,
            fmt::format("{}: does not fit at all: it needs {}, {} are for models", name,
                        format_bytes(bytes_at(plan, "charge")), format_bytes(budget)),
            remedy};
  return {"model", Status::kWarn,
          fmt::format("{}: its num_ctx{} takes {} at full length, {} are for models{}", name,
                      n_ctx > 0 ? fmt::format(" {}", n_ctx) : "", format_bytes(most_bytes(plan, 1)),
                      format_bytes(budget), fitting.empty() ? "" : fmt::format("; num_ctx {} fits", fitting)),
          remedy};
}

}  // namespace

std::vector<Finding> examine_models(ModelSource source, uint64_t budget) {
  std::vector<Finding> out;
  std::sort(source.names.begin(), source.names.end());
  const size_t n = std::min(source.names.size(), kMostModels);
  const auto until = Clock::now() + kForAll;
  size_t seen = 0, unplanned = 0, large = 0;
  std::string first_problem;
  for (; seen < n; ++seen) {
    if (Clock::now() >= until) break;
    const std::string& name = source.names[seen];
    const auto model = source.read(name);
    const auto plan = model ? source.plan(request_of(*model, budget, 1), patience(until))
                            : Result<Json>(std::unexpected(model.error()));
    if (!plan) {
      if (unplanned++ == 0) first_problem = fmt::format("{}: {}", name, plan.error().message);
    } else if (text_at(*plan, "fits") != "yes") {
      if (large++ < kMostFindings) out.push_back(too_large(source, name, *model, *plan, budget, until));
    }
  }
  if (source.names.empty()) return {{"models", Status::kOk, "none in the store"}};
  std::string text = fmt::format("{} of {} fit with their own num_ctx", seen - large - unplanned, seen);
  if (large > kMostFindings) text += fmt::format("; {} of those that do not are shown", kMostFindings);
  if (unplanned > 0) text += fmt::format("; {} cannot be planned ({})", unplanned, first_problem);
  if (seen < source.names.size()) text += fmt::format("; {} more not looked at", source.names.size() - seen);
  out.push_back({"models", Status::kOk, text});
  return out;
}

}  // namespace quipu::doctor
