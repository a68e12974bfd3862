// Speed of prefill and decode as a share of what this machine can do at most.
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/units.h"
#include "kernels/dispatch.h"
#include "kernels/machine_limits.h"
#include "model/local_model.h"
#include "runner/kv_types.h"
#include "runner/load_options.h"
#include "workbench/command_line.h"
#include "workbench/commands.h"

namespace quipu::workbench {

namespace {

struct Options {
  std::string file, kv = runner::kv_types_name(runner::LoadOptions().kv_types);
  int64_t prompt = 512, gen = 64, depth = 0, batch = 1, repeat = 3;
  int threads = 0;
  bool json = false, machine = false;
};

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double median(std::vector<double> v) {
  if (v.empty()) return 0;
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}

uint64_t peak_rss() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;
}

// What one token costs: bytes of weights that a decode step reads, and multiply-adds x 2 of a prefill row
// (which computes no logits).
struct Work {
  double decode_bytes = 0, prefill_ops = 0;
};

Work work_per_token(const gguf::File& file) {
  Work w;
  const bool tied = file.tensor("output.weight") == nullptr;
  for (const gguf::Tensor& t : file.tensors()) {
    const bool embedding = t.name == "token_embd.weight";
    if (t.n_dims < 2 || (embedding && !tied)) continue;
    w.decode_bytes += static_cast<double>(t.data.size());
    if (!embedding && t.name != "output.weight") w.prefill_ops += 2.0 * static_cast<double>(t.n_elements());
  }
  return w;
}

nlohmann::ordered_json limits_json(const kernels::MachineLimits& m) {
  return {{"read_gbps", m.read_gbps}, {"int8_gops", m.int8_gops}, {"f32_gflops", m.f32_gflops}};
}

Result<void> bench_machine(const Options& o) {
  QUIPU_TRY(kernels::init());
  const int n = o.threads > 0 ? o.threads : default_thread_count();
  QUIPU_ASSIGN(auto pool, ThreadPool::create(n));
  const kernels::MachineLimits m = kernels::measure_limits(*pool);
  if (o.json) {
    nlohmann::ordered_json out = {{"isa", isa_name(kernels::active_isa())}, {"threads", n}};
    out.update(limits_json(m));
    std::cout << out.dump() << "\n";
  } else {
    std::cout << fmt::format(
        "{} with {} threads: read {:.1f} GB/s, int8 {:.0f} GOP/s, float32 {:.0f} GFLOP/s\n",
        isa_name(kernels::active_isa()), n, m.read_gbps, m.int8_gops, m.f32_gflops);
  }
  return {};
}

std::vector<int32_t> random_tokens(int64_t n, int64_t n_vocab) {
  std::vector<int32_t> ids(static_cast<size_t>(n));
  uint32_t state = 12345;  // any fixed stream: speed does not depend on which tokens
  for (int32_t& id : ids) {
    state = state * 1664525u + 1013904223u;
    id = static_cast<int32_t>((state >> 8) % static_cast<uint32_t>(n_vocab));
  }
  return ids;
}

Result<void> run(const Options& o) {
  LocalOptions options;
  options.n_ctx = o.depth + o.prompt + o.gen + 1;
  options.n_sequences = o.batch;
  options.n_threads = o.threads;
  QUIPU_ASSIGN(options.kv_types, runner::parse_kv_types(o.kv));
  const double t_load = now();
  QUIPU_ASSIGN(auto model, LocalModel::open(o.file, options));
  const double load_seconds = now() - t_load;
  if (options.n_ctx - 1 > model->model().n_ctx_train())
    return error(Code::kInvalidArgument, "{} tokens are more than the {} that this model was trained for",
                 options.n_ctx - 1, model->model().n_ctx_train());
  const int64_t n_vocab = model->model().n_vocab();
  const std::vector<int32_t> prompt = random_tokens(std::max(o.depth + o.prompt, int64_t{1}), n_vocab);
  const std::span<const int32_t> tokens(prompt);
  const auto n_depth = static_cast<size_t>(o.depth);

  for (size_t s = 0; s < static_cast<size_t>(o.batch); ++s)
    QUIPU_TRY(model->prefill(s, tokens.first(n_depth)));
  if (o.depth == 0) {  // a first pass that nobody times: page tables, thread pool
    QUIPU_TRY(model->prefill(0, tokens.first(std::min<size_t>(prompt.size(), 32))));
    model->rewind(0, 0);
  }
  std::vector<double> prefill, decode;
  for (int64_t r = 0; r < o.repeat; ++r) {
    if (o.prompt > 0) {
      const double t = now();
      QUIPU_TRY(model->prefill(0, tokens.subspan(n_depth, static_cast<size_t>(o.prompt))));
      prefill.push_back(static_cast<double>(o.prompt) / (now() - t));
      model->rewind(0, o.depth);
    }
    if (o.gen > 0) {
      const std::vector<int32_t> ids = random_tokens(o.gen * o.batch, n_vocab);
      const double t = now();
      for (int64_t i = 0; i < o.gen; ++i)
        QUIPU_TRY(model->step(
            std::span(ids).subspan(static_cast<size_t>(i * o.batch), static_cast<size_t>(o.batch))));
      decode.push_back(static_cast<double>(o.gen * o.batch) / (now() - t));
      for (size_t s = 0; s < static_cast<size_t>(o.batch); ++s) model->rewind(s, o.depth);
    }
  }

  const uint64_t peak =
      peak_rss();  // before the limits are measured: their buffers are larger than many a model
  const kernels::MachineLimits limits = kernels::measure_limits(model->pool());
  const Work work = work_per_token(model->file());
  const double kv_bytes = static_cast<double>(model->plan().kv_bytes_per_token) *
                          (static_cast<double>(o.depth) + static_cast<double>(o.gen) / 2);
  const double prefill_tps = median(prefill), decode_tps = median(decode);
  const double gops = prefill_tps * work.prefill_ops / 1e9;
  // A step reads the weights once and the cache of every sequence.
  const double gbps = decode_tps / static_cast<double>(o.batch) *
                      (work.decode_bytes + kv_bytes * static_cast<double>(o.batch)) / 1e9;
  memory::RuntimeOptions runtime;
  runtime.n_ctx = model->n_ctx();
  nlohmann::ordered_json out = {
      {"model", o.file},
      {"isa", isa_name(kernels::active_isa())},
      {"threads", model->pool().size()},
      {"load_seconds", load_seconds},
      {"prefill_tps", prefill_tps},
      {"prefill_gops", gops},
      {"decode_tps", decode_tps},
      {"decode_gbps", gbps},
      {"decode_share_of_read_bandwidth", limits.read_gbps > 0 ? gbps / limits.read_gbps : 0},
      {"prefill_share_of_int8_peak", limits.int8_gops > 0 ? gops / limits.int8_gops : 0},
      {"peak_rss", peak},
      {"planned", model->plan().total() + model->plan().kv_ceiling}};
  if (o.json) {
    std::cout << out.dump() << "\n";
    return {};
  }
  std::cout << fmt::format("{} ({}, {} thread{}), loaded in {:.3f} s\n", o.file,
                           isa_name(kernels::active_isa()), model->pool().size(),
                           model->pool().size() == 1 ? "" : "s", load_seconds);
  if (o.prompt > 0)
    std::cout << fmt::format(
        "prefill {:>5} tokens at depth {}: {:8.1f} tok/s  {:7.1f} GOP/s  {:3.0f} % of the int8 peak {:.0f}\n",
        o.prompt, o.depth, prefill_tps, gops, 100 * gops / limits.int8_gops, limits.int8_gops);
  if (o.gen > 0)
    std::cout << fmt::format(
        "decode  {:>5} tokens at depth {}: {:8.1f} tok/s  {:7.1f} GB/s   {:3.0f} % of the read bandwidth "
        "{:.1f}\n",
        o.gen, o.depth, decode_tps, gbps, 100 * gbps / limits.read_gbps, limits.read_gbps);
  std::cout << fmt::format("peak resident {}, planned {}\n", format_bytes(peak),
                           format_bytes(out["planned"].get<uint64_t>()));
  return {};
}

}  // namespace

int bench_command(std::span<const std::string> args) {
  Options o;
  CLI::App app("Speed of prefill and decode, beside this machine's limits", "quipu bench");
  CLI::Option* file = app.add_option("FILE", o.file, "GGUF file");
  app.add_option("--prompt", o.prompt, "tokens to prefill")
      ->check(between(0, 1 << 20))
      ->capture_default_str();
  app.add_option("--gen", o.gen, "tokens to decode")->check(between(0, 1 << 20))->capture_default_str();
  app.add_option("--depth", o.depth, "tokens in the cache before")
      ->check(between(0, 1 << 22))
      ->capture_default_str();
  app.add_option("--batch", o.batch, "sequences decoded at once")
      ->check(between(1, 256))
      ->capture_default_str();
  add_threads(app, o.threads);
  app.add_option("--kv-cache-type", o.kv, "f16, bf16, q8_0, q4_0, f32 or K:V")->capture_default_str();
  app.add_option("--repeat", o.repeat, "runs; the median counts")
      ->check(between(1, 1000))
      ->capture_default_str();
  app.add_flag("--json", o.json, "one JSON object");
  app.add_flag("--machine", o.machine, "only the machine's limits");
  int code = kOk;
  if (!parse(app, args, &code)) return code;
  if (!o.machine && file->count() == 0) {
    std::cerr << "Error: name a GGUF file, or ask for --machine\n";
    return kUsage;
  }
  return finish([&] { return o.machine ? bench_machine(o) : run(o); });
}

}  // namespace quipu::workbench
