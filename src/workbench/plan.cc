#include <algorithm>
#include <iostream>

#include "base/json_members.h"
#include "runner/kv_types.h"
#include "runner/memory_report.h"
#include "workbench/command_line.h"
#include "workbench/commands.h"
#include "workbench/named_file.h"
#include "workbench/plan_row.h"
#include "workbench/running_server.h"

namespace quipu::workbench {

namespace {

constexpr const char* kBudgetFlag = "--budget";

struct Options {
  std::string subject, kv;  // a file or a model
  runner::LoadOptions load;
  // In place of what this machine has: from a server, which knows what it has promised.
  std::optional<uint64_t> budget;
  uint64_t admitted = 0;
  bool json = false;
};

// The machine, and what the model measures if it is loaded.
struct Here {
  memory::Machine machine;
  Json as_json;  // null: to be made of `machine`
  Json running;
};

void set_budget(memory::Machine& m, uint64_t budget, uint64_t admitted) {
  m.terms.assign(1, {"budget", budget});
  m.limit = budget;
  m.admitted = admitted;
}

Here look_around(const Options& o, const std::string& model) {
  Here here;
  if (o.budget) {
    set_budget(here.machine, *o.budget, o.admitted);
    return here;
  }
  here.machine = memory::probe_machine({.bounds = o.load.bounds});
  const auto loaded = ask_loaded();
  if (!loaded) return here;
  here.running = memory_of(*loaded, model);
  here.as_json = machine_of(*loaded);
  if (const auto free = free_for(*loaded, model)) {
    const uint64_t budget = bytes_at(here.as_json, "budget");
    set_budget(here.machine, budget, budget - *free);
  }
  return here;
}

// With the KV cache that a loaded model has now.
memory::MemoryPlan with_kv(memory::MemoryPlan plan, const Json& memory) {
  const uint64_t now = memory["kv"].value("planned", uint64_t{0});
  for (memory::PlanLine& line : plan.lines)
    if (line.category == memory::Category::kKv && line.bytes != now)
      line = {line.category, now, "the blocks that are held now, in use or cached"};
  return plan;
}

Result<void> run(Options o) {
  gguf::guard_mappings();
  QUIPU_ASSIGN(NamedFile named, find_named_file(o.subject));
  named.projectors.insert(named.projectors.end(), o.load.projectors.begin(), o.load.projectors.end());
  QUIPU_ASSIGN(const OpenedFile opened, open_named_file(named));
  const gguf::File& file = *opened.file;
  const Model& model = *opened.model;
  // What the command says, else the model, else the settings.
  if (o.kv.empty()) o.kv = named.kv_cache_type;
  if (!o.kv.empty()) {
    QUIPU_ASSIGN(o.load.kv_types, runner::parse_kv_types(o.kv));
  }
  const int64_t trained = model.n_ctx_train();
  if (o.load.n_ctx > trained)
    std::cerr << fmt::format(
        "num_ctx {} is more than the {} tokens this model was trained for, which count\n", o.load.n_ctx,
        trained);
  if (o.load.n_ctx == 0) o.load.n_ctx = opened.n_ctx;
  if (o.load.n_ctx == 0) o.load.n_ctx = context_setting();
  const Here here = look_around(o, named.model);
  const runner::Planned p = runner::plan_model(file, model, o.load, here.machine, opened.projector_bytes);
  const auto others = runner::alternatives(file, p);
  if (o.json) {
    const Json machine = here.as_json.is_null() ? runner::machine_json(here.machine) : here.as_json;
    std::cout << plan_row(o.subject, p, machine, others, here.running).dump() << "\n";
    return {};
  }
  Json memory = runner::plan_json(p);
  const bool is_loaded = here.running.is_object(), is_loaded_so = runner::add_measured(memory, here.running);
  const memory::MeasuredBytes measured = measured_bytes(memory);
  std::cout << fmt::format("{} ({}, {})\nnum_ctx {}, parallel {}, KV cache {}\n", o.subject,
                           model.architecture(), quantization_name(file), p.options.n_ctx,
                           p.options.n_parallel, runner::kv_types_name(o.load.kv_types))
            << memory::plan_lines(with_kv(p.plan, memory), p.options, is_loaded ? &measured : nullptr)
            << (is_loaded && !is_loaded_so
                    ? "It is loaded with other settings: quipu ps -v shows what it takes.\n"
                    : "")
            << memory::verdict(p.plan, p.options, p.free) << memory::alternatives_table(others);
  return {};
}

}  // namespace

int plan_command(std::span<const std::string> args) {
  Options o;
  int code = kOk;
  if (std::ranges::find(args, kBudgetFlag) != args.end()) {
    o.load = runner::load_options_below_server();
  } else if (const auto defaults = runner::default_load_options()) {
    o.load = *defaults;
  } else {
    return finish([&] { return Result<void>(std::unexpected(defaults.error())); });
  }
  CLI::App app("What a model will take, category by category, before it is loaded", "quipu plan");
  app.add_option("MODEL|FILE", o.subject, "a model of the store, or a GGUF file")->required();
  app.add_option("--num-ctx", o.load.n_ctx,
                 "tokens of one sequence; default: the model's own, as far as memory allows")
      ->check(between(1, kMostContext));
  app.add_option("--parallel", o.load.n_parallel, "sequences at once")
      ->check(between(1, 256))
      ->capture_default_str();
  app.add_option("--kv-cache-type", o.kv,
                 "f16, bf16, q8_0, q4_0, f32 or K:V; default: the model's own, else " +
                     runner::kv_types_name(o.load.kv_types));
  add_threads(app, o.load.n_threads);
  app.add_flag("--json", o.json, "one JSON object");
  app.add_option(kBudgetFlag, o.budget)->group("");  // a server plans in a process of its own
  app.add_option("--admitted", o.admitted)->group("");
  app.add_option("--projector", o.load.projectors)->group("");
  if (!parse(app, args, &code)) return code;
  return finish([&] { return run(o); });
}

}  // namespace quipu::workbench
