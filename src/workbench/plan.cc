#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>

#include "runner/kv_types.h"
#include "runner/memory_report.h"
#include "workbench/command_line.h"
#include "workbench/commands.h"
#include "workbench/named_file.h"

namespace quipu::workbench {

namespace {

struct Options {
  std::string subject, kv;  // a file or a model
  runner::LoadOptions load;
  bool json = false;
};

Result<void> run(Options o) {
  gguf::guard_mappings();
  // The header is all that is read, but a file that ends early would be planned with weights it does not
  // have.
  QUIPU_ASSIGN(const NamedFile named, find_named_file(o.subject));
  QUIPU_ASSIGN(const auto file, gguf::File::open(named.path));
  QUIPU_ASSIGN(const auto model, load_model(*file));
  QUIPU_ASSIGN(o.load.kv_types, runner::parse_kv_types(o.kv));
  if (o.load.n_ctx > model->n_ctx_train())
    return error(Code::kInvalidArgument, "--num-ctx {} is more than the {} tokens this model was trained for",
                 o.load.n_ctx, model->n_ctx_train());
  if (o.load.n_ctx == 0 && named.n_ctx > 0)
    o.load.n_ctx = std::min<int64_t>(std::max<int64_t>(named.n_ctx, 4), model->n_ctx_train());  // as it loads
  const memory::Machine machine = memory::probe_machine({.bounds = o.load.bounds});
  const runner::Planned p = runner::plan_model(*file, *model, o.load, machine);
  const auto others = runner::alternatives(*file, p);
  if (o.json) {
    nlohmann::ordered_json out = {{"model", o.subject}};
    out["memory"] = runner::plan_json(p);
    out["machine"] = runner::machine_json(machine);
    out["charge"] = memory::charge(p.plan, p.options);
    out["fits"] = memory::fit_name(memory::fits(p.plan, p.options, machine.free()));
    out["alternatives"] = runner::alternatives_json(others);
    std::cout << out.dump() << "\n";
    return {};
  }
  std::cout << fmt::format("{} ({}, {})\nnum_ctx {}, parallel {}, KV cache {}\n", o.subject,
                           model->architecture(), quantization_name(*file), p.options.n_ctx,
                           p.options.n_parallel, runner::kv_types_name(o.load.kv_types))
            << memory::plan_table(p.plan, p.options, machine) << memory::alternatives_table(others);
  return {};
}

}  // namespace

int plan_command(std::span<const std::string> args) {
  Options o;
  int code = kOk;
  if (const auto defaults = runner::default_load_options()) {
    o.load = *defaults;
    o.kv = runner::kv_types_name(o.load.kv_types);
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
  app.add_option("--kv-cache-type", o.kv, "f16, bf16, q8_0, q4_0, f32 or K:V")->capture_default_str();
  add_threads(app, o.load.n_threads);
  app.add_flag("--json", o.json, "one JSON object");
  if (!parse(app, args, &code)) return code;
  return finish([&] { return run(o); });
}

}  // namespace quipu::workbench
