#include "model/local_model.h"
#include "runner/kv_types.h"
#include "workbench/command_line.h"
#include "workbench/commands.h"
#include "workbench/output_file.h"

namespace quipu::workbench {

namespace {

struct Options {
  std::string file, tokens, out, kv = "f16", activations = "int8";
  int64_t last = 1, n_ctx = 0;
  int threads = 0;
};

Result<void> write_logits(const Options& o) {
  QUIPU_ASSIGN(const std::vector<int32_t> ids, parse_ids(o.tokens));
  const auto n = static_cast<int64_t>(ids.size());
  if (o.last < 1 || o.last > n)
    return error(Code::kInvalidArgument, "--last {}: between 1 and the {} tokens given", o.last, n);
  if (o.n_ctx > 0 && n > o.n_ctx)
    return error(Code::kInvalidArgument, "{} tokens do not fit into --num-ctx {}", n, o.n_ctx);
  LocalOptions options;
  options.n_ctx = o.n_ctx > 0 ? o.n_ctx : n;
  options.n_outputs = std::min<int64_t>(o.last, 32);
  QUIPU_ASSIGN(options.kv_types, runner::parse_kv_types(o.kv));
  options.exact_activations = o.activations == "f32";
  options.n_threads = o.threads;
  QUIPU_ASSIGN(auto model, LocalModel::open(o.file, options));

  if (options.n_ctx > model->model().n_ctx_train())
    return error(Code::kInvalidArgument, "{} {} is more than the {} tokens this model was trained for",
                 o.n_ctx > 0 ? "--num-ctx" : "a number of tokens of", options.n_ctx,
                 model->model().n_ctx_train());

  QUIPU_ASSIGN(OutputFile out, OutputFile::create(o.out));
  Result<void> written;
  QUIPU_TRY(model->feed(ids, n - o.last, [&](int64_t, std::span<const float> row) {
    if (written) written = out.append_values(row);
  }));
  QUIPU_TRY(written);
  return out.finish();
}

}  // namespace

int logits_command(std::span<const std::string> args) {
  Options o;
  CLI::App app("Writes the logits of given tokens as little-endian float32 [N, n_vocab]", "quipu logits");
  app.add_option("FILE", o.file, "GGUF file")->required();
  app.add_option("--tokens", o.tokens, "token ids: 1,2,3")->required();
  app.add_option("--last", o.last, "how many of the last tokens' rows to write")->capture_default_str();
  app.add_option("--num-ctx", o.n_ctx, "context length")->check(between(1, kMostContext));
  app.add_option("--kv-cache-type", o.kv, "f16, bf16, q8_0, q4_0, f32 or K:V")->capture_default_str();
  app.add_option("--activations", o.activations, "int8, or f32 for comparison")
      ->check(CLI::IsMember({"int8", "f32"}))
      ->capture_default_str();
  add_threads(app, o.threads);
  app.add_option("--out", o.out, "file to write; -: standard output")->required();
  int code = kOk;
  if (!parse(app, args, &code)) return code;
  return finish([&] { return write_logits(o); });
}

}  // namespace quipu::workbench
