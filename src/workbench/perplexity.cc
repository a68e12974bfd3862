// Perplexity: the text's ids are cut into chunks of num_ctx; a chunk starts with an empty cache; the tokens
// in its second half are scored from the logits before them; exp of the mean negative log likelihood.
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>

#include "model/local_model.h"
#include "runner/kv_types.h"
#include "tokenizer/tokenizer.h"
#include "workbench/command_line.h"
#include "workbench/commands.h"
#include "workbench/kld_base.h"

namespace quipu::workbench {

namespace {

struct Options {
  std::string file, text_file, kv = "f16", activations = "int8", kld, save;
  int64_t n_ctx = 512;
  int threads = 0;
  bool json = false;
};

struct Scores {
  double nll = 0, nll_squared = 0;
  int64_t n = 0;
  std::vector<double> kld;
  int64_t same_top = 0;
  double perplexity() const { return std::exp(nll / static_cast<double>(n)); }
  // Standard error of the perplexity, from the variance of the log likelihoods.
  double uncertainty() const {
    if (n < 2) return 0;
    const double mean = nll / static_cast<double>(n);
    const double variance = nll_squared / static_cast<double>(n) - mean * mean;
    return variance > 0 ? std::sqrt(variance / static_cast<double>(n - 1)) * std::exp(mean) : 0;
  }
};

// In place: logits to log-probabilities.
void log_softmax(std::span<float> row) {
  const float max = *std::max_element(row.begin(), row.end());
  double sum = 0;
  for (float v : row) sum += std::exp(static_cast<double>(v) - max);
  const double shift = max + std::log(sum);
  for (float& v : row) v = static_cast<float>(v - shift);
}

void compare(std::span<const float> base, std::span<const float> now, Scores& s) {
  double kld = 0;
  for (size_t i = 0; i < base.size(); ++i)
    kld += std::exp(static_cast<double>(base[i])) * (static_cast<double>(base[i]) - now[i]);
  s.kld.push_back(kld);
  const auto top = [](std::span<const float> v) { return std::max_element(v.begin(), v.end()) - v.begin(); };
  s.same_top += top(base) == top(now);
}

void print(const Options& o, Scores& s, int64_t chunks) {
  nlohmann::ordered_json out = {{"perplexity", s.perplexity()},
                                {"uncertainty", s.uncertainty()},
                                {"chunks", chunks},
                                {"tokens_scored", s.n},
                                {"num_ctx", o.n_ctx},
                                {"kv_cache_type", o.kv},
                                {"activations", o.activations}};
  if (!s.kld.empty()) {
    std::sort(s.kld.begin(), s.kld.end());
    double mean = 0;
    for (double k : s.kld) mean += k / static_cast<double>(s.kld.size());
    const size_t p99 =
        std::min(s.kld.size() - 1, static_cast<size_t>(0.99 * static_cast<double>(s.kld.size())));
    out["kld"] = {{"mean", mean}, {"median", s.kld[s.kld.size() / 2]}, {"p99", s.kld[p99]}};
    out["top1_agreement"] = static_cast<double>(s.same_top) / static_cast<double>(s.kld.size());
  }
  if (o.json) {
    std::cout << out.dump() << "\n";
    return;
  }
  std::cout << fmt::format("perplexity {:.4f} +/- {:.4f} ({} chunks of {}, {} tokens scored)\n",
                           s.perplexity(), s.uncertainty(), chunks, o.n_ctx, s.n);
  if (!s.kld.empty())
    std::cout << fmt::format(
        "KL divergence mean {:.6f}, median {:.6f}, 99 % {:.6f}; same top token {:.2f} %\n",
        out["kld"]["mean"].get<double>(), out["kld"]["median"].get<double>(), out["kld"]["p99"].get<double>(),
        100 * out["top1_agreement"].get<double>());
}

Result<void> run(const Options& o) {
  if (!o.kld.empty() && !o.save.empty())
    return error(Code::kInvalidArgument, "--kld and --save exclude each other");
  QUIPU_ASSIGN(const std::string text, read_text(o.text_file));
  LocalOptions options;
  options.n_ctx = o.n_ctx;
  options.n_outputs = 32;  // 32 rows of 49,152 logits are 6 MB
  QUIPU_ASSIGN(options.kv_types, runner::parse_kv_types(o.kv));
  options.exact_activations = o.activations == "f32";
  options.n_threads = o.threads;
  QUIPU_ASSIGN(auto model, LocalModel::open(o.file, options));
  QUIPU_ASSIGN(const auto tokenizer, Tokenizer::load(model->file()));
  const std::vector<Token> ids = tokenizer->encode(text, true, false);
  const int64_t chunks = static_cast<int64_t>(ids.size()) / o.n_ctx;
  if (chunks == 0)
    return error(Code::kInvalidArgument, "{} has {} tokens; at least one chunk of {} is needed", o.text_file,
                 ids.size(), o.n_ctx);

  std::optional<KldReader> base;
  std::optional<KldWriter> writer;
  const auto n_vocab = static_cast<size_t>(model->model().n_vocab());
  const KldHeader header{static_cast<uint32_t>(n_vocab), static_cast<uint32_t>(o.n_ctx), ids};
  if (!o.kld.empty()) {
    QUIPU_ASSIGN(base, KldReader::open(o.kld));
    if (base->header().n_vocab != header.n_vocab || base->header().n_ctx != header.n_ctx ||
        base->header().tokens != header.tokens)
      return error(Code::kInvalidArgument, "{} was saved for another text, vocabulary or num_ctx", o.kld);
  }
  if (!o.save.empty()) {
    QUIPU_ASSIGN(writer, KldWriter::create(o.save, header));
  }

  const bool progress = !o.json && isatty(STDERR_FILENO) == 1;
  Scores s;
  std::vector<float> row(n_vocab), base_row(n_vocab);
  Result<void> file_ok;
  for (int64_t c = 0; c < chunks && file_ok; ++c) {
    std::vector<Token> chunk(ids.begin() + c * o.n_ctx, ids.begin() + (c + 1) * o.n_ctx);
    if (tokenizer->special().add_bos && tokenizer->special().bos) chunk[0] = *tokenizer->special().bos;
    model->rewind(0, 0);
    QUIPU_TRY(model->feed(chunk, o.n_ctx / 2, [&](int64_t i, std::span<const float> logits) {
      if (i + 1 >= o.n_ctx || !file_ok) return;
      std::copy(logits.begin(), logits.end(), row.begin());
      log_softmax(row);
      const double nll = -static_cast<double>(row[static_cast<size_t>(chunk[static_cast<size_t>(i + 1)])]);
      s.nll += nll;
      s.nll_squared += nll * nll;
      ++s.n;
      if (writer) file_ok = writer->row(row);
      if (!base) return;
      file_ok = base->row(base_row);
      if (file_ok) compare(base_row, row, s);
    }));
    if (progress) std::cerr << fmt::format("[{}/{}] {:.4f}\n", c + 1, chunks, s.perplexity());
  }
  QUIPU_TRY(file_ok);
  if (writer) QUIPU_TRY(writer->finish());
  print(o, s, chunks);
  return {};
}

}  // namespace

int perplexity_command(std::span<const std::string> args) {
  Options o;
  CLI::App app("Perplexity of a text", "quipu perplexity");
  app.add_option("FILE", o.file, "GGUF file")->required();
  app.add_option("TEXT_FILE", o.text_file, "the text")->required();
  app.add_option("--num-ctx", o.n_ctx, "tokens of a chunk")
      ->check(between(4, kMostContext))
      ->capture_default_str();
  app.add_option("--kv-cache-type", o.kv, "f16, bf16, q8_0, q4_0, f32 or K:V")->capture_default_str();
  app.add_option("--activations", o.activations, "int8, or f32 for comparison")
      ->check(CLI::IsMember({"int8", "f32"}))
      ->capture_default_str();
  app.add_option("--kld", o.kld, "compare with logits saved before");
  app.add_option("--save", o.save, "save logits to compare with");
  add_threads(app, o.threads);
  app.add_flag("--json", o.json, "one JSON object");
  int code = kOk;
  if (!parse(app, args, &code)) return code;
  return finish([&] { return run(o); });
}

}  // namespace quipu::workbench
