#include "workbench/plan_row.h"

namespace quipu::workbench {

memory::MeasuredBytes measured_bytes(const Json& memory_object) {
  memory::MeasuredBytes out;
  for (int i = 0; i < memory::kCategories; ++i)
    out.of[static_cast<size_t>(i)] =
        runner::measured_in(memory_object, memory::category_name(static_cast<memory::Category>(i)));
  out.total = runner::measured_in(memory_object, "total");
  return out;
}

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

}  // namespace quipu::workbench
