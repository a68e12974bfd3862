#include "model/hparams.h"

#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "kernels/det_math.h"

namespace quipu {

namespace {

constexpr int64_t kMaxDim = int64_t{1} << 24;  // of any single dimension
constexpr int64_t kMaxLayers = 512;
constexpr int64_t kMaxExperts = 1024;
constexpr int64_t kMaxHead = 4096;

// Reads "{arch}.NAME" keys and keeps the first error, so that a list of reads stays a list.
class Reader {
 public:
  Reader(const gguf::File& file, std::string arch) : file_(file), arch_(std::move(arch)) {}

  std::string key(std::string_view name) const { return arch_ + "." + std::string(name); }

  int64_t integer(std::string_view name, std::optional<int64_t> fallback, int64_t lo, int64_t hi) {
    const std::string k = key(name);
    auto v = file_.integer(k);
    if (!v) return fail(std::move(v).error()), lo;
    if (!*v && !fallback) fail(Error{Code::kCorrupt, "the file has no " + k, k});
    const int64_t value = v->value_or(fallback.value_or(lo));
    if (value < lo || value > hi)
      fail(Error{Code::kCorrupt,
                 fmt::format("{} is {}; it must be between {} and {}",
                             *v ? k : fmt::format("the default of {} (which the file does not have)", k),
                             value, lo, hi),
                 k});
    return value;
  }

  // A scalar, or an array with one entry per layer that are all equal (this family has no layers that
  // differ).
  int64_t per_layer(std::string_view name, std::optional<int64_t> fallback, int64_t lo, int64_t hi,
                    int64_t n_layers) {
    const std::string k = key(name);
    const gguf::Entry* e = file_.find(k);
    if (e == nullptr || !std::holds_alternative<gguf::Array>(e->value))
      return integer(name, fallback, lo, hi);
    const auto values = std::get<gguf::Array>(e->value).as_ints();
    if (!values || static_cast<int64_t>(values->size()) != n_layers) {
      fail(Error{Code::kCorrupt,
                 fmt::format("{} must have one integer for each of the {} layers", k, n_layers), k});
      return lo;
    }
    for (int64_t v : *values) {
      if (v < lo || v > hi) {
        fail(Error{Code::kCorrupt,
                   fmt::format("{} has the entry {}; it must be between {} and {}", k, v, lo, hi), k});
        return lo;
      }
      if (v != values->front()) {
        fail(Error{Code::kUnsupported,
                   fmt::format("{} differs between layers, which {} does not support", k, arch_), k});
        return lo;
      }
    }
    return values->front();
  }

  float number(std::string_view name, std::optional<float> fallback) {
    const std::string k = key(name);
    auto v = file_.number(k);
    if (!v) return fail(std::move(v).error()), 0.0f;
    if (!*v) {
      if (!fallback) fail(Error{Code::kCorrupt, "the file has no " + k, k});
      return fallback.value_or(0.0f);
    }
    if (!(std::abs(**v) <= std::numeric_limits<float>::max())) {
      fail(Error{Code::kCorrupt, k + " is not a finite number", k});
      return fallback.value_or(0.0f);
    }
    return static_cast<float>(**v);
  }

  bool boolean(std::string_view name, bool fallback) {
    auto v = file_.boolean(key(name));
    if (!v) return fail(std::move(v).error()), fallback;
    return v->value_or(fallback);
  }

  // One flag for each layer. Absent: `fallback` for all of them, or an error.
  std::vector<bool> flags(std::string_view name, std::optional<bool> fallback, int64_t n_layers) {
    const std::string k = key(name);
    const gguf::Entry* e = file_.find(k);
    std::vector<bool> all(static_cast<size_t>(n_layers), fallback.value_or(false));
    if (e == nullptr) {
      if (!fallback) fail(Error{Code::kCorrupt, "the file has no " + k, k});
      return all;
    }
    std::optional<std::vector<bool>> given;
    if (const auto* array = std::get_if<gguf::Array>(&e->value)) {
      given = array->as_bools();
      if (const auto ints = array->as_ints(); !given && ints) given.emplace(ints->begin(), ints->end());
    }
    if (!given || given->size() != all.size()) {
      fail(Error{Code::kCorrupt, fmt::format("{} must have one flag for each of the {} layers", k, n_layers),
                 k});
      return all;
    }
    return *given;
  }

  std::string string(std::string_view name, std::string_view fallback) {
    auto v = file_.string(key(name));
    if (!v) return fail(std::move(v).error()), std::string(fallback);
    return std::string(v->value_or(fallback));
  }

  void fail(Error e) {
    if (!error_) error_ = std::move(e);
  }
  Result<void> status() const {
    if (error_) return std::unexpected(*error_);
    return {};
  }

 private:
  const gguf::File& file_;
  std::string arch_;
  std::optional<Error> error_;
};

// YaRN's magnitude: 0.1 ln(f) + 1 above 1 (Peng et al. 2023, section 3.4).
double yarn_magnitude(double factor, double k) {
  return factor <= 1.0 ? 1.0 : 0.1 * k * kernels::det::log(factor) + 1.0;
}

void read_rope(Reader& r, HParams& h) {
  const auto bad = [&r](std::string_view name, std::string_view why) {
    r.fail(Error{Code::kCorrupt, fmt::format("{} {}", r.key(name), why), r.key(name)});
  };
  h.n_rot = r.integer("rope.dimension_count", h.head_dim_k, 0, kMaxDim);
  const bool granite = h.arch != "llama";
  const bool partial = granite && h.n_rot < h.head_dim_k;  // the rest of a head passes unrotated
  if ((h.n_rot != h.head_dim_k && !partial) || h.n_rot % 2 != 0)
    bad("rope.dimension_count", fmt::format("is {}; it must be {} the head size {}, and even", h.n_rot,
                                            granite ? "at most" : "equal to", h.head_dim_k));
  h.rope_freq_base = r.number("rope.freq_base", 10000.0f);
  if (!(h.rope_freq_base > 0)) bad("rope.freq_base", "must be positive");
  const std::string type = r.string("rope.scaling.type", "linear");
  if (type != "none" && type != "linear" && type != "yarn")
    r.fail(Error{Code::kUnsupported,
                 fmt::format("rope scaling '{}' is not supported (none, linear, yarn are)", type),
                 r.key("rope.scaling.type")});
  std::string_view factor_key = "rope.scaling.factor";
  float factor = r.number(factor_key, 0.0f);
  if (factor == 0.0f) factor = r.number(factor_key = "rope.scale_linear", 0.0f);
  h.rope_freq_scale = type == "none" || factor == 0.0f ? 1.0f : 1.0f / factor;
  if (!(factor >= 0.0f) || !std::isfinite(h.rope_freq_scale))
    bad(factor_key, fmt::format("is {}, which is no scale", factor));
  h.rope_n_ctx_orig = r.integer("rope.scaling.original_context_length", h.n_ctx_train, 1, int64_t{1} << 40);
  const float attn_factor = r.number("rope.scaling.attn_factor", 1.0f);
  float ext = r.number("rope.scaling.yarn_ext_factor", -1.0f);
  if (ext < 0.0f) ext = type == "yarn" ? 1.0f : 0.0f;
  h.rope_ext_factor = ext;
  h.rope_beta_fast = r.number("rope.scaling.yarn_beta_fast", 32.0f);
  h.rope_beta_slow = r.number("rope.scaling.yarn_beta_slow", 1.0f);
  const float log_multiplier = r.number("rope.scaling.yarn_log_multiplier", 0.0f);
  float magnitude = r.number("rope.scaling.yarn_attn_factor", 1.0f);
  if (ext != 0.0f) {
    const double f = 1.0 / h.rope_freq_scale;
    magnitude =
        static_cast<float>(log_multiplier != 0.0f ? yarn_magnitude(f, 1.0) / yarn_magnitude(f, log_multiplier)
                                                  : yarn_magnitude(f, 1.0));
    // The rotation itself applies 1 + 0.1 ln f once more; divide it out.
    magnitude = static_cast<float>(magnitude / (1.0 + 0.1 * kernels::det::log(f)));
  }
  h.rope_attn_factor = magnitude * attn_factor;
}

}  // namespace

Result<HParams> read_hparams(const gguf::File& file) {
  HParams h;
  h.arch = std::string(file.architecture());
  Reader r(file, h.arch);
  h.n_ctx_train = r.integer("context_length", std::nullopt, 1, int64_t{1} << 40);
  h.n_embd = r.integer("embedding_length", std::nullopt, 1, kMaxDim);
  h.n_layers = r.integer("block_count", std::nullopt, 1, kMaxLayers);
  if (const int64_t n = r.integer("expert_count", 0, 0, kMaxExperts); n != 0)
    r.fail(Error{
        Code::kUnsupported,
        fmt::format("mixture-of-experts models ({} with {} experts) are not supported yet (dense llama and "
                    "granite are)",
                    h.arch, n),
        r.key("expert_count")});
  if (!r.boolean("attention.causal", true))
    r.fail(Error{Code::kUnsupported, "models whose tokens see later ones are not supported yet",
                 r.key("attention.causal")});
  QUIPU_TRY(r.status());
  h.n_heads = r.per_layer("attention.head_count", std::nullopt, 1, kMaxDim, h.n_layers);
  h.n_kv_heads = r.per_layer("attention.head_count_kv", h.n_heads, 1, kMaxDim, h.n_layers);
  h.n_ff = r.per_layer("feed_forward_length", std::nullopt, 1, kMaxDim, h.n_layers);
  QUIPU_TRY(r.status());
  if (h.n_heads % h.n_kv_heads != 0)
    return error(Code::kCorrupt, "{} query heads cannot share {} KV heads evenly", h.n_heads, h.n_kv_heads);
  const int64_t default_head = h.n_embd / h.n_heads;
  h.head_dim_k = r.integer("attention.key_length", default_head, 1, kMaxHead);
  h.head_dim_v = r.integer("attention.value_length", default_head, 1, kMaxHead);
  h.rms_eps = r.number("attention.layer_norm_rms_epsilon", std::nullopt);
  if (h.rms_eps < 0.0f)
    r.fail(Error{Code::kCorrupt, r.key("attention.layer_norm_rms_epsilon") + " must not be negative",
                 r.key("attention.layer_norm_rms_epsilon")});
  QUIPU_TRY(r.status());
  if (h.n_heads * std::max(h.head_dim_k, h.head_dim_v) >= kMaxDim)
    return error(Code::kCorrupt, "{} heads of {} values are too many", h.n_heads, h.head_dim_k);
  read_rope(r, h);

  h.attention_scale = r.number("attention.scale", 0.0f);
  if (h.attention_scale == 0.0f) h.attention_scale = 1.0f / std::sqrt(static_cast<float>(h.head_dim_k));
  h.windowed.assign(static_cast<size_t>(h.n_layers), false);
  h.rotated.assign(static_cast<size_t>(h.n_layers), true);
  if (h.arch != "llama") {
    const auto scale = [&](std::string_view name) {
      const float v = r.number(name, 0.0f);
      return v == 0.0f ? 1.0f : v;
    };
    h.embedding_scale = scale("embedding_scale");
    h.residual_scale = scale("residual_scale");
    h.logit_divisor = r.number("logit_scale", std::nullopt);
    if (h.logit_divisor == 0.0f) h.logit_divisor = 1.0f;
    h.use_rope = r.boolean("rope.scaling.finetuned", true);  // the family reuses this key as "use rope"
  }
  if (h.arch == "granite_swa") {
    h.window = r.integer("attention.sliding_window", std::nullopt, 1, int64_t{1} << 40);
    h.windowed = r.flags("attention.sliding_window_pattern", std::nullopt, h.n_layers);
    h.rotated = r.flags("attention.rope_pattern", true, h.n_layers);
  }
  QUIPU_TRY(r.status());
  return h;
}

}  // namespace quipu
