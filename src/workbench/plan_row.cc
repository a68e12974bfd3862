#include "workbench/plan_row.h"

#include <fmt/format.h>

#include "base/json_members.h"

namespace quipu::workbench {

Json plan_row(const std::string& model, const runner::Planned& p, const Json& machine,
              const std::vector<memory::Alternative>& alternatives, const Json& running) {
  Json out = {{"model", model}};
  out["memory"] = runner::plan_json(p);
  runner::add_measured(out["memory"], running);
  out["machine"] = machine;
  out["charge"] = memory::charge(p.plan, p.options);
  out["fits"] = memory::fit_name(memory::fits(p.plan, p.options, p.free));
  out["alternatives"] = runner::alternatives_json(alternatives);
  return out;
}

Json plan_texts(const runner::Planned& p, const std::string& architecture, const std::string& quantization) {
  Json out = {{"file", fmt::format("{}, {}", architecture, quantization)},
              {"settings", fmt::format("num_ctx {}, parallel {}, KV cache {}", p.options.n_ctx,
                                       p.options.n_parallel, p.kv_type)},
              {"num_ctx", p.options.n_ctx}};
  for (const memory::PlanLine& line : p.plan.lines)
    out["formulas"][memory::category_name(line.category)] = line.formula;
  out["growth"] = memory::growth_line(p.plan, p.options);
  out["verdict"] = memory::verdict(p.plan, p.options, p.free);
  return out;
}

namespace {

std::vector<memory::Alternative> alternatives_of(const Json& row) {
  std::vector<memory::Alternative> out;
  const Json* all = member_at(row, "alternatives");
  if (all == nullptr || !all->is_array()) return out;
  for (const Json& one : *all) {
    memory::Alternative a{.change = text_at(one, "change"), .total = bytes_at(one, "total")};
    for (const memory::Fit fit : {memory::Fit::kYes, memory::Fit::kTight})
      if (text_at(one, "fits") == memory::fit_name(fit)) a.fits = fit;
    a.other_file = a.change.find("quantization=") != std::string::npos;
    out.push_back(std::move(a));
  }
  return out;
}

}  // namespace

std::string plan_text(const Json& row) {
  const Json &memory = object_at(row, "memory"), &texts = object_at(row, "texts");
  const Json& formulas = object_at(texts, "formulas");
  std::vector<memory::PlanLine> lines;
  memory::MeasuredBytes measured;
  bool is_loaded = false;
  for (int i = 0; i < memory::kCategories; ++i) {
    const auto c = static_cast<memory::Category>(i);
    const char* name = memory::category_name(c);
    const Json& of = object_at(memory, name);
    const uint64_t bytes = bytes_at(of, "planned");
    if (c == memory::Category::kProjector && bytes == 0) continue;
    // A plan has none in use: those are a loaded model's.
    lines.push_back({c, bytes,
                     c == memory::Category::kKv && bytes > 0
                         ? "the blocks that are held now, in use or cached"
                         : text_at(formulas, name)});
    measured.of[static_cast<size_t>(i)] = runner::measured_in(memory, name);
    is_loaded = is_loaded || measured.of[static_cast<size_t>(i)];
  }
  measured.total = runner::measured_in(memory, "total");
  const auto line = [](std::string text) { return text.empty() ? text : text + "\n"; };
  const std::string file = text_at(texts, "file");
  return text_at(row, "model") + (file.empty() ? "" : fmt::format(" ({})", file)) + "\n" +
         line(text_at(texts, "settings")) + memory::category_lines(lines, is_loaded ? &measured : nullptr) +
         text_at(texts, "growth") +
         (is_loaded && !measured.total
              ? "It is loaded with other settings: quipu ps -v shows what it takes.\n"
              : "") +
         text_at(texts, "verdict") + memory::alternatives_table(alternatives_of(row));
}

}  // namespace quipu::workbench
