// quipu fit: which quantisation of a model, or which size of model, suits this machine.
#include <algorithm>
#include <iostream>
#include <tuple>

#include "base/cpu.h"
#include "base/thread_pool.h"
#include "base/units.h"
#include "model/plan_choices.h"
#include "runner/kv_types.h"
#include "runner/memory_report.h"
#include "workbench/command_line.h"
#include "workbench/commands.h"
#include "workbench/fit_shapes.h"
#include "workbench/fit_table.h"
#include "workbench/named_file.h"
#include "workbench/plan_row.h"
#include "workbench/running_server.h"

namespace quipu::workbench {

namespace {

// Of sizes without a file: what people usually choose between.
constexpr std::string_view kUsual[] = {"Q8_0", "Q6_K", "Q4_K_M"};

struct Options {
  std::string subject, parameters, quantization;
  bool json = false;
};

Result<const Quantization*> asked_quantization(const Options& o) {
  if (o.quantization.empty()) return nullptr;
  const Quantization* q = find_quantization(o.quantization);
  if (q == nullptr) {
    std::string known;
    for (const Quantization& k : quantizations()) known += (known.empty() ? "" : ", ") + std::string(k.name);
    return error(Code::kInvalidArgument, "there is no quantisation '{}': these are known: {}", o.quantization,
                 known);
  }
  return q;
}

double bits_of(const std::string& quantization) {
  const Quantization* q = find_quantization(quantization);
  return q != nullptr ? q->bits() : 0;
}

// A model of the store or a file, as it is and in all coarser quantisations that run here.
Result<std::vector<FitFile>> files_of(const NamedFile& named, const Quantization* only, int n_threads) {
  QUIPU_ASSIGN(const OpenedFile opened, open_named_file(named));
  const gguf::File& file = *opened.file;
  runner::LoadOptions load;
  load.n_threads = n_threads;
  const runner::Planned p = runner::plan_model(file, *opened.model, load, {}, opened.projector_bytes);
  const std::string name = named.model.empty() ? "this model" : named.model;
  std::vector<FitFile> out;
  const std::string own = quantization_name(file);
  if (only == nullptr || own == only->name) out.push_back({name, own, p.shape, false, bits_of(own)});
  const WeightCounts counts = count_weights(file);
  for (const Quantization& q : quantizations()) {
    if (q.name == own || (only != nullptr && only != &q)) continue;
    if (only == nullptr && (!q.computable() || q.bits() > 16 || q.main == TensorType::kBF16 ||
                            (q.needs_256() && !counts.rows_of_256)))
      continue;
    FitFile other{name, q.name, p.shape, true, q.bits()};
    other.shape.weights_bytes = estimated_bytes(counts, q);
    out.push_back(std::move(other));
  }
  std::ranges::sort(out, [](const FitFile& a, const FitFile& b) {
    return std::tie(b.shape.weights_bytes, a.quantization) < std::tie(a.shape.weights_bytes, b.quantization);
  });
  return out;
}

void add_typical(std::vector<FitFile>& out, const TypicalModel& m, double scale, const std::string& name,
                 const Quantization* only, int n_threads) {
  for (const Quantization& q : quantizations()) {
    const bool usual = std::ranges::find(kUsual, q.name) != std::end(kUsual);
    if (only != nullptr ? only != &q : !usual) continue;
    FitFile f{name, q.name, m.shape(n_threads), true, q.bits()};
    f.shape.weights_bytes =
        static_cast<uint64_t>(static_cast<double>(estimated_bytes(m.weights(), q)) * scale);
    out.push_back(std::move(f));
  }
}

Result<std::vector<FitFile>> typical_files(const Options& o, const Quantization* only, int n_threads) {
  std::vector<FitFile> out;
  if (o.parameters.empty()) {
    for (const TypicalModel& m : typical_models()) add_typical(out, m, 1, m.name, only, n_threads);
    return out;
  }
  const auto n = parse_parameters(o.parameters);
  if (!n)
    return error(Code::kInvalidArgument, "--params {}: write a number of parameters such as 8b or 500m",
                 o.parameters);
  const TypicalModel& m = nearest_model(*n);
  std::string name = o.parameters;
  for (char& c : name) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  // The name of a size is a round number: 8B stands for what such models really have.
  const double scale = name == m.name ? 1 : *n / m.parameters();
  add_typical(out, m, scale, name, only, n_threads);
  return out;
}

// Every file with every context, number of sequences and cache type that is tried, so that a program can
// choose for itself.
void print_rows(const std::vector<FitFile>& files, uint64_t free, const Json& machine) {
  Json rows = Json::array();
  for (const FitFile& f : files)
    for (const int64_t n_ctx : fit_contexts({f}, free))
      for (const int64_t parallel : fit_parallel())
        for (const auto& kv : fit_kv_types()) {
          const FitSetting s{n_ctx, parallel, kv.name};
          runner::Planned p;
          p.shape = f.shape;
          p.options = s.options();
          p.plan = memory::plan(f.shape, p.options);
          p.kv_type = runner::kv_types_name(runner::parse_kv_types(kv.name).value_or(KvTypes()));
          p.free = free;
          memory::Choices choices;
          choices.kv = fit_kv_types();
          for (const FitFile& other : files)
            if (other.model == f.model)
              choices.files.push_back({other.quantization, other.shape.weights_bytes});
          Json row = plan_row(f.model, p, machine, memory::alternatives(f.shape, p.options, choices, free));
          row["quantization"] = f.quantization;
          row["estimated"] = f.estimated;
          row["num_ctx"] = n_ctx;
          row["parallel"] = parallel;
          rows.push_back(std::move(row));
        }
  std::cout << rows.dump() << "\n";
}

Result<void> run(const Options& o) {
  gguf::guard_mappings();
  if (!o.subject.empty() && !o.parameters.empty())
    return error(Code::kInvalidArgument, "--params stands in place of a model");
  QUIPU_ASSIGN(const Quantization* only, asked_quantization(o));
  const int n_threads = default_thread_count();
  NamedFile named;
  if (!o.subject.empty()) {
    auto found = find_named_file(o.subject);
    if (!found && found.error().code == Code::kNotFound && server_has(o.subject))
      return error(Code::kNotFound,
                   "the server at {} has '{}' in a store that is not read from here: set QUIPU_MODELS to its "
                   "folder, or name the model's file",
                   server_name(), o.subject);
    if (!found) return std::unexpected(found.error());
    named = std::move(*found);
  }
  const auto files = o.subject.empty() ? typical_files(o, only, n_threads) : files_of(named, only, n_threads);
  if (!files) return std::unexpected(files.error());
  QUIPU_ASSIGN(const memory::Bounds bounds, memory::Bounds::from_environment());
  const memory::Machine machine = memory::probe_machine({.bounds = bounds});
  Json as_json = runner::machine_json(machine);
  uint64_t free = machine.free();
  if (const auto loaded = ask_loaded())
    if (const auto said = free_for(*loaded, named.model)) {
      free = *said;
      as_json = machine_of(*loaded);
    }
  if (o.json) {
    print_rows(*files, free, as_json);
    return {};
  }
  std::cout << fmt::format("{} are free for models on this machine ({} in all).\n\n", format_bytes(free),
                           format_bytes(machine.total))
            << fit_table(*files, free)
            << "\nq8_0 x4: fits with the KV cache in q8_0, the default, and 4 conversations of that\n"
               "length at once; q8:q4 (q8_0:q4_0) and q4_0: 3/4 and half of that cache, less precise.\n"
               "tight: loads, but cannot grow that long. -: does not.\n";
  std::cout << (std::ranges::any_of(*files, [](const FitFile& f) { return !f.estimated; })
                    ? "* is this file; other sizes are estimates.\n\n"
                    : "Sizes are estimates.\n\n")
            << fit_recommendation(*files, free);
  return {};
}

}  // namespace

int fit_command(std::span<const std::string> args) {
  Options o;
  int code = kOk;
  CLI::App app("Which size and quantisation of a model suits this machine", "quipu fit");
  app.add_option("MODEL|FILE", o.subject,
                 "a model of the store, or a GGUF file; without: models of the usual sizes");
  app.add_option("--params", o.parameters, "in place of a model: its number of parameters, such as 8b");
  app.add_option("--quant", o.quantization, "only this quantisation, such as q4_k_m");
  app.add_flag("--json", o.json, "a list of plans, one for each combination");
  if (!parse(app, args, &code)) return code;
  return finish([&] { return run(o); });
}

}  // namespace quipu::workbench
