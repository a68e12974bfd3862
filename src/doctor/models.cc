#include "doctor/models.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/checked.h"
#include "base/go_text.h"
#include "base/json_members.h"
#include "base/units.h"

namespace quipu::doctor {

namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

constexpr size_t kMostModels = 50, kMostFindings = 10;                 // one screen
constexpr size_t kMostOfValue = 40;                                    // of a parameter that is shown
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

// The context of a plan.
uint64_t context_of(const Json& plan) { return bytes_at(object_at(plan, "texts"), "num_ctx"); }

// The settings that an alternative of a plan changes, by name: "kv_cache_type=q4_0, quantization=Q4_0".
std::vector<std::pair<std::string, std::string>> settings_of(const std::string& change) {
  std::vector<std::pair<std::string, std::string>> out;
  for (size_t at = 0; at < change.size();) {
    const size_t end = std::min(change.find(", ", at), change.size()), equals = change.find('=', at);
    if (equals < end)
      out.emplace_back(change.substr(at, equals - at), change.substr(equals + 1, end - equals - 1));
    at = end + 2;
  }
  return out;
}

// A change in the words of whoever makes it; empty: there are none for it.
std::string in_words(const std::string& change, const StoredModel& m) {
  std::string settings, parameters, file;
  const auto add = [](std::string& to, const std::string& what) { to += (to.empty() ? "" : " and ") + what; };
  for (const auto& [name, value] : settings_of(change)) {
    if (name == "num_ctx")
      add(parameters, "PARAMETER num_ctx " + value);
    else if (name == "kv_cache_type" && m.says_kv_cache_type)
      add(parameters, "PARAMETER kv_cache_type " + value);
    else if (name == "kv_cache_type")
      add(settings, "QUIPU_KV_CACHE_TYPE=" + value);
    else if (name == "parallel")
      add(settings, "QUIPU_NUM_PARALLEL=" + value);
    else if (name == "quantization")
      file = "a file in " + value;
    else
      return {};
  }
  const bool for_all = parameters.find("num_ctx") != parameters.npos && m.n_ctx > 0 && !m.says_n_ctx;
  if (!parameters.empty())
    add(settings, parameters + " in its Modelfile" + (for_all ? " (QUIPU_CONTEXT_LENGTH: for all)" : ""));
  if (!file.empty()) add(settings, file);
  return settings;
}

// Of the changes that a plan offers those that are wanted, by the names of what they change and how they fit,
// in words, with "or" between. Of each kind the nearest is enough.
std::string remedies(const Json& plan, const StoredModel& m, auto wanted) {
  std::string out;
  std::set<std::string> kinds;
  if (const Json* all = member_at(plan, "alternatives"); all != nullptr && all->is_array())
    for (const Json& one : *all) {
      const std::string change = text_at(one, "change");
      std::string kind;
      for (const auto& [name, value] : settings_of(change)) kind += name + ' ';
      if (!wanted(kind, text_at(one, "fits"))) continue;
      const std::string words = in_words(change, m);
      if (!words.empty() && kinds.insert(kind).second) out += (out.empty() ? "" : ", or ") + words;
    }
  return out;
}

// A model that is not loaded, by the plan that it is refused with.
Finding not_loaded(const std::string& name, const StoredModel& m, const Json& plan, uint64_t budget) {
  const auto is_file = [](const std::string& kind) { return kind.find("quantization ") != kind.npos; };
  const auto loads = [](const std::string& fits) { return fits == "yes" || fits == "tight"; };
  std::string remedy = remedies(plan, m, [&](const std::string& kind, const std::string& fits) {
    return loads(fits) && !is_file(kind);
  });
  const bool at_all = remedy.empty();
  if (at_all) {
    bool first = true;
    remedy = remedies(plan, m, [&](const std::string& kind, const std::string& fits) {
      return loads(fits) && is_file(kind) && std::exchange(first, false);
    });
  }
  if (remedy.empty()) remedy = "a smaller model, a file with fewer bits, or a larger QUIPU_MEMORY";
  const std::string settings = fmt::format("with num_ctx {} and a KV cache in {}", context_of(plan),
                                           text_at(object_at(object_at(plan, "memory"), "kv"), "type"));
  return {
      "model", Status::kWarn,
      fmt::format("{}: does not fit {}: it needs {}, {} are for models", name, at_all ? "at all" : settings,
                  format_bytes(bytes_at(plan, "charge")), format_bytes(budget)),
      remedy};
}

// The finding for a model of whose context `full` is the plan, which does not fit.
Result<Finding> too_large(const ModelSource& source, const std::string& name, const StoredModel& m,
                          const Json& full, uint64_t budget, Clock::time_point until) {
  PlanRequest request = request_of(m, budget, m.n_parallel);
  request.n_ctx_is_default = true;
  if (m.n_ctx == 0) request.n_ctx = 0;
  QUIPU_ASSIGN(const Json served, source.plan(request, patience(until)));
  if (text_at(served, "fits") == "no") return not_loaded(name, m, served, budget);
  const uint64_t n_ctx = context_of(full), n = context_of(served);
  if (m.n_ctx == 0)
    return Finding{"model", Status::kOk,
                   fmt::format("{}: its {} tokens do not fit, it is served with {}", name, n_ctx, n)};
  std::string remedy = remedies(full, m, [](const std::string& kind, const std::string& fits) {
    return kind == "kv_cache_type " && fits == "yes";
  });
  if (!remedy.empty()) remedy += ", or ";
  remedy += in_words(fmt::format("num_ctx={}", n), m);
  return Finding{
      "model", Status::kWarn,
      fmt::format("{}: its num_ctx {} takes {} at full length, {} are for models; it is served with {}", name,
                  n_ctx, format_bytes(most_bytes(full, 1)), format_bytes(budget), n),
      remedy};
}

// Nothing: it fits.
Result<std::optional<Finding>> examine_model(const ModelSource& source, const std::string& name,
                                             uint64_t budget, Clock::time_point until) {
  QUIPU_ASSIGN(const StoredModel m, source.read(name));
  if (m.bad_kv_cache_type)
    return Finding{"model", Status::kWarn,
                   fmt::format("{}: its kv_cache_type {} is no type of cache: requests to it are refused",
                               name, go_quote(m.bad_kv_cache_type->substr(0, kMostOfValue))),
                   "PARAMETER kv_cache_type q8_0 in its Modelfile, or no such line"};
  QUIPU_ASSIGN(const Json full, source.plan(request_of(m, budget, 1), patience(until)));
  if (text_at(full, "fits") == "yes") return std::nullopt;
  QUIPU_ASSIGN(Finding found, too_large(source, name, m, full, budget, until));
  return found;
}

}  // namespace

std::vector<Finding> examine_models(ModelSource source, uint64_t budget) {
  if (source.names.empty()) return {{"models", Status::kOk, "none in the store"}};
  std::sort(source.names.begin(), source.names.end());
  const size_t n = std::min(source.names.size(), kMostModels);
  const auto until = Clock::now() + kForAll;
  std::vector<Finding> out, said;  // what is wrong is shown before what is only said
  size_t seen = 0, unplanned = 0;
  std::string first_problem, remedy;
  for (; seen < n && Clock::now() < until; ++seen) {
    const std::string& name = source.names[seen];
    auto found = examine_model(source, name, budget, until);
    if (found) {
      if (*found) ((*found)->status == Status::kOk ? said : out).push_back(std::move(**found));
      continue;
    }
    if (Clock::now() >= until) break;  // it is not the model's fault
    if (unplanned++ > 0) continue;
    first_problem = fmt::format("{}: {}", name, found.error().message);
    remedy = found.error().code == Code::kIo
                 ? fmt::format("try again: quipu plan {}", name)
                 : fmt::format("pull or create it again, or remove it: quipu rm {}", name);
  }
  const size_t not_fitting = out.size() + said.size();
  for (Finding& f : said) out.push_back(std::move(f));
  std::string text = fmt::format("{} of {} fit with their own num_ctx", seen - not_fitting - unplanned, seen);
  if (not_fitting > kMostFindings) {
    out.resize(kMostFindings);
    text += fmt::format("; {} of those that do not are shown", kMostFindings);
  }
  if (unplanned > 0) text += fmt::format("; {} cannot be planned ({})", unplanned, first_problem);
  if (seen < source.names.size()) text += fmt::format("; {} more not looked at", source.names.size() - seen);
  out.push_back({"models", unplanned > 0 ? Status::kWarn : Status::kOk, text, remedy});
  return out;
}

}  // namespace quipu::doctor
