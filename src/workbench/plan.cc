#include <algorithm>
#include <chrono>
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
  bool says_parallel = false, says_threads = false;  // and not the environment
};

constexpr std::chrono::seconds kPatience{60};  // a server's own for a header is half of that

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

void tell_of_note(const std::string& note) {
  if (!note.empty()) std::cerr << note << "\n";
}

void print(Json row, bool as_json, bool with_texts = false) {
  if (!as_json) {
    std::cout << plan_text(row);
    return;
  }
  if (!with_texts) row.erase("texts");
  std::cout << row.dump(-1, ' ', false, Json::error_handler_t::replace) << "\n";
}

// The plan of the server that would run the model, by its store and its settings. Null: none answers, or it
// does not know the model.
Result<Json> ask_for_plan(const Options& o) {
  Json body = {{"model", o.subject}, {"texts", true}, {"options", Json::object()}};
  if (o.load.n_ctx > 0) body["options"]["num_ctx"] = o.load.n_ctx;
  if (!o.kv.empty()) body["options"]["kv_cache_type"] = o.kv;
  if (o.says_parallel) body["parallel"] = o.load.n_parallel;
  if (o.says_threads) body["threads"] = o.load.n_threads;
  const auto answer = post_to_server("/api/plan", body, kPatience);
  if (!answer || answer->status == 404) return Json();
  Json row = Json::parse(answer->body, nullptr, false);
  if (answer->status == 200 && row.is_object()) return row;
  const std::string why = text_at(row, "error");
  return error(answer->status == 400 ? Code::kInvalidArgument : Code::kUnsupported, "the server at {}: {}",
               server_name(), why.empty() ? fmt::format("status {}", answer->status) : why);
}

// Why it is another context than somebody wants; empty: it is not, or nothing fits anyway.
std::string note_on_context(const runner::LoadOptions& load, int64_t trained, const runner::Planned& p) {
  const bool is_default = load.n_ctx == 0 || load.n_ctx_is_default;
  if (!is_default && load.n_ctx > trained)
    return fmt::format("num_ctx {} is more than the {} tokens this model was trained for, which count",
                       load.n_ctx, trained);
  if (!is_default || p.options.n_ctx >= p.wanted_n_ctx ||
      memory::fits(p.plan, p.options, p.free) == memory::Fit::kNo)
    return {};
  return fmt::format("of the default num_ctx, {}, the budget holds {}", p.wanted_n_ctx, p.options.n_ctx);
}

Result<void> run(Options o) {
  gguf::guard_mappings();
  if (!o.kv.empty()) {
    QUIPU_TRY(runner::parse_kv_types(o.kv));
  }
  if (!o.budget && !names_a_file(o.subject) && parse_model_reference(o.subject)) {
    QUIPU_ASSIGN(const Json row, ask_for_plan(o));
    if (!row.is_null()) {
      const Json* texts = member_at(row, "texts");
      tell_of_note(texts != nullptr ? text_at(*texts, "note") : "");
      print(row, o.json);
      return {};
    }
  }
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
  if (o.load.n_ctx == 0) {
    o.load.n_ctx = opened.n_ctx > 0 ? opened.n_ctx : context_setting();
    o.load.n_ctx_is_default = true;
  }
  const Here here = look_around(o, named.model);
  const runner::Planned p = runner::plan_model(file, model, o.load, here.machine, opened.projector_bytes);
  const std::string note = note_on_context(o.load, model.n_ctx_train(), p);
  const auto others = runner::alternatives(file, p);
  const Json machine = here.as_json.is_null() ? runner::machine_json(here.machine) : here.as_json;
  Json row = plan_row(o.subject, p, machine, others, here.running);
  row["texts"] = plan_texts(p, std::string(model.architecture()), quantization_name(file));
  row["texts"]["note"] = note;
  tell_of_note(note);
  print(std::move(row), o.json, o.budget.has_value());
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
  int64_t default_n_ctx = 0;
  app.add_option("--default-num-ctx", default_n_ctx)->group("");
  if (!parse(app, args, &code)) return code;
  if (default_n_ctx > 0 && o.load.n_ctx == 0) {
    o.load.n_ctx = default_n_ctx;
    o.load.n_ctx_is_default = true;
  }
  o.says_parallel = app.count("--parallel") > 0;
  // CLI11 counts what the environment says, too.
  o.says_threads =
      std::ranges::any_of(args, [](const std::string& arg) { return arg.starts_with("--threads"); });
  return finish([&] { return run(o); });
}

}  // namespace quipu::workbench
