#include "runner/memory_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>

#include "base/json_members.h"
#include "base/thread_pool.h"
#include "model/plan_choices.h"
#include "runner/kv_types.h"
#include "tokenizer/tokenizer.h"

namespace quipu::runner {

using memory::Category;

namespace {

constexpr int64_t kLeastContext = 512;  // below this a chat is of no use: rather refuse the load

}  // namespace

Planned plan_model(const gguf::File& file, const Model& model, const LoadOptions& load,
                   const memory::Machine& machine, uint64_t projector_bytes) {
  Planned p;
  p.n_threads = load.n_threads > 0 ? load.n_threads : default_thread_count();
  p.shape = model.shape(p.n_threads);
  memory::ModelShape& shape = p.shape;
  shape.tokenizer_bytes = planned_tokenizer_bytes(file);
  shape.projector_bytes = projector_bytes;
  p.options.n_parallel = load.n_parallel;
  p.options.k_bytes_per_32 = kernels::kv_bytes_per_32(load.kv_types.k);
  p.options.v_bytes_per_32 = kernels::kv_bytes_per_32(load.kv_types.v);
  p.kv_type = kv_types_name(load.kv_types);
  p.free = machine.free();
  const int64_t trained = model.n_ctx_train();
  p.wanted_n_ctx = p.options.n_ctx = load.n_ctx > 0 ? std::min(load.n_ctx, trained) : trained;
  p.plan = memory::plan(shape, p.options);
  // Of a set default, too, where it can be loaded at all: else the refusal is of what was set.
  if (load.n_ctx <= 0 || (load.n_ctx_is_default && memory::charge(p.plan, p.options) <= machine.budget())) {
    p.options.n_ctx = longest_context(p, machine.budget());
    p.plan = memory::plan(shape, p.options);
  }
  return p;
}

int64_t longest_context(const Planned& p, uint64_t budget) {
  const int64_t n = p.options.n_ctx;
  if (p.plan.kv_block_bytes == 0) return n;
  // One sequence must fit beside everything else; it takes whole blocks.
  return std::min(n, std::max(p.plan.tokens_within(p.kv_room(budget)), kLeastContext));
}

Measured measure(const std::vector<std::string>& model_paths,
                 const std::vector<std::string>& projector_paths) {
  Measured m;
  std::ifstream in("/proc/self/smaps");
  std::string line;
  enum class Kind { kOther, kWeights, kProjector, kRuntime } kind = Kind::kOther;
  const auto among = [](const std::vector<std::string>& paths, std::string_view name) {
    if (std::ranges::find(paths, name) != paths.end()) return true;
    // A file that was removed or replaced since it was mapped is still the same file.
    constexpr std::string_view kRemoved = " (deleted)";
    if (!name.ends_with(kRemoved)) return false;
    name.remove_suffix(kRemoved.size());
    return std::ranges::find(paths, name) != paths.end();
  };
  while (std::getline(in, line)) {
    if (line.rfind("Pss:", 0) == 0) {
      const uint64_t bytes = std::stoull(line.substr(4)) * 1024;
      m.total += bytes;
      if (kind == Kind::kWeights) m.weights += bytes;
      if (kind == Kind::kProjector) m.projector += bytes;
      if (kind == Kind::kRuntime) m.runtime += bytes;
      continue;
    }
    // "55d0...-55d1... r-xp 00000000 08:01 1234   /usr/bin/quipu": a mapping starts with a lower-case
    // hexadecimal digit.
    if (line.empty() || std::isxdigit(static_cast<unsigned char>(line[0])) == 0 ||
        std::isupper(static_cast<unsigned char>(line[0])) != 0)
      continue;
    const size_t at = line.find_first_of("/[");
    const std::string name = at == std::string::npos ? "" : line.substr(at);
    if (among(model_paths, name))
      kind = Kind::kWeights;
    else if (among(projector_paths, name))
      kind = Kind::kProjector;
    else
      kind = name.empty() || name.rfind("[anon", 0) == 0 ? Kind::kOther : Kind::kRuntime;
  }
  return m;
}

std::vector<memory::Alternative> alternatives(const gguf::File& file, const Planned& p) {
  if (memory::fits(p.plan, p.options, p.free) == memory::Fit::kYes) return {};
  return memory::alternatives(p.shape, p.options, plan_choices(file), p.free);
}

nlohmann::ordered_json alternatives_json(const std::vector<memory::Alternative>& all) {
  auto out = nlohmann::ordered_json::array();
  for (const memory::Alternative& a : all)
    out.push_back({{"change", a.change}, {"total", a.total}, {"fits", memory::fit_name(a.fits)}});
  return out;
}

nlohmann::ordered_json plan_json(const Planned& p) {
  nlohmann::ordered_json out;
  for (int i = 0; i < memory::kCategories; ++i) {
    const auto c = static_cast<Category>(i);
    out[memory::category_name(c)] = {{"planned", p.plan.bytes(c)}};
  }
  out["kv"]["ceiling"] = p.plan.kv_ceiling;
  out["kv"]["bytes_per_token"] = p.plan.kv_bytes_per_token;
  out["kv"]["type"] = p.kv_type;
  out["total"] = {{"planned", p.plan.total()}};
  return out;
}

nlohmann::ordered_json machine_json(const memory::Machine& m) {
  nlohmann::ordered_json out = {{"total", m.total},
                                {"available", m.available},
                                {"budget", m.budget()},
                                {"admitted", m.admitted},
                                {"free", m.free()}};
  out["terms"] = nlohmann::ordered_json::array();
  for (const auto& t : m.all_terms()) out["terms"].push_back({{"name", t.name}, {"bytes", t.bytes}});
  return out;
}

nlohmann::ordered_json memory_json(const Planned& p, const Measured& m, const memory::Ledger& ledger,
                                   KvState kv) {
  nlohmann::ordered_json out = plan_json(p);
  const uint64_t kv_now = ledger.bytes(Category::kKv);
  out["weights"]["measured"] = m.weights;
  out["projector"]["measured"] = m.projector;
  out["kv"]["planned"] = kv.planned;
  out["kv"]["measured"] = kv_now;
  out["kv"]["in_use"] = kv.in_use;
  out["kv"]["cached"] = kv.cached;
  for (Category c : {Category::kWorkspace, Category::kOutput})
    out[memory::category_name(c)]["measured"] = ledger.bytes(c);
  out["runtime"]["measured"] = m.runtime;
  const uint64_t planned = p.plan.fixed() + kv.planned;
  out["total"] = {{"planned", planned}, {"measured", m.total}};
  const uint64_t known = m.weights + m.projector + kv_now + ledger.bytes(Category::kWorkspace) +
                         ledger.bytes(Category::kOutput) + m.runtime;
  out["unexplained"] = static_cast<int64_t>(m.total) - static_cast<int64_t>(known);
  return out;
}

namespace {

const nlohmann::ordered_json* number_in(const nlohmann::ordered_json& memory, const char* category,
                                        const char* key) {
  const auto* of = member_at(memory, category);
  const auto* n = of != nullptr ? member_at(*of, key) : nullptr;
  return n != nullptr && n->is_number_unsigned() ? n : nullptr;
}

std::string cache_type(const nlohmann::ordered_json& memory) {
  const auto* kv = member_at(memory, "kv");
  return kv != nullptr ? text_at(*kv, "type") : std::string();
}

}  // namespace

std::optional<uint64_t> measured_in(const nlohmann::ordered_json& memory, const char* category) {
  const auto* n = number_in(memory, category, "measured");
  return n != nullptr ? std::optional(n->get<uint64_t>()) : std::nullopt;
}

bool add_measured(nlohmann::ordered_json& memory, const nlohmann::ordered_json& loaded) {
  if (!loaded.is_object() || !memory.is_object()) return false;
  bool alike = true;
  const auto copy = [&](const char* category, bool comparable) {
    const auto* n = number_in(loaded, category, "measured");
    if (n == nullptr || !memory.contains(category)) return;
    if (comparable) memory[category]["measured"] = *n;
    alike = alike && comparable;
  };
  for (const Category c : {Category::kWeights, Category::kProjector, Category::kWorkspace, Category::kOutput,
                           Category::kRuntime}) {
    const auto *ours = number_in(memory, memory::category_name(c), "planned"),
               *theirs = number_in(loaded, memory::category_name(c), "planned");
    copy(memory::category_name(c), ours != nullptr && theirs != nullptr && *ours == *theirs);
  }
  const bool same_type = cache_type(memory) == cache_type(loaded);
  copy("kv", same_type);
  const auto *now = number_in(loaded, "kv", "planned"), *before = number_in(memory, "kv", "planned"),
             *total = number_in(memory, "total", "planned");
  if (same_type && now != nullptr && before != nullptr &&
      total != nullptr) {  // what is there now is planned for
    memory["total"]["planned"] = total->get<uint64_t>() - before->get<uint64_t>() + now->get<uint64_t>();
    memory["kv"]["planned"] = now->get<uint64_t>();
    for (const char* key : {"in_use", "cached"})
      if (const auto* n = number_in(loaded, "kv", key)) memory["kv"][key] = *n;
  }
  if (!alike) return false;
  copy("total", true);
  if (const auto rest = loaded.find("unexplained"); rest != loaded.end()) memory["unexplained"] = *rest;
  return true;
}

}  // namespace quipu::runner
