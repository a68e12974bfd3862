#include "runner/run_options.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "runner/kv_types.h"

namespace quipu::runner {

namespace {

std::unexpected<Error> wrong_type(std::string_view name, std::string_view type) {
  return std::unexpected(Error{Code::kInvalidArgument,
                               fmt::format("option \"{}\" must be of type {}", name, type),
                               std::string(name)});
}

Result<int64_t> integer(std::string_view name, const Json& v) {
  if (!v.is_number()) return wrong_type(name, "integer");
  if (v.is_number_unsigned()) {
    const auto u = v.get<uint64_t>();
    return u > static_cast<uint64_t>(INT64_MAX) ? INT64_MAX : static_cast<int64_t>(u);
  }
  if (v.is_number_integer()) return v.get<int64_t>();
  const double d = std::trunc(v.get<double>());
  if (!(d >= -0x1p62 && d <= 0x1p62))
    return error(Code::kInvalidArgument, "option \"{}\" is {}, which is out of range", name, v.dump());
  return static_cast<int64_t>(d);
}

Result<int32_t> small_integer(std::string_view name, const Json& v) {
  QUIPU_ASSIGN(const int64_t n, integer(name, v));
  return static_cast<int32_t>(std::clamp<int64_t>(n, INT32_MIN, INT32_MAX));
}

Result<float> number(std::string_view name, const Json& v) {
  if (!v.is_number()) return wrong_type(name, "float32");
  const auto f = static_cast<float>(v.get<double>());
  if (!std::isfinite(f)) return error(Code::kInvalidArgument, "option \"{}\" is out of range", name);
  return f;
}

Result<bool> boolean(std::string_view name, const Json& v) {
  if (!v.is_boolean()) return wrong_type(name, "boolean");
  return v.get<bool>();
}

// Options that a client may send and that decide how a model is loaded, not how a request runs.
constexpr std::array kLoadOptions = {"num_batch", "num_gpu", "main_gpu", "use_mmap", "draft_num_predict"};

Result<void> read_one(std::string_view name, const Json& v, GenerateOptions& o, UnknownOptions& unknown) {
  SamplingOptions& s = o.sampling;
  if (name == "temperature") {
    QUIPU_ASSIGN(s.temperature, number(name, v));
  } else if (name == "top_k") {
    QUIPU_ASSIGN(s.top_k, small_integer(name, v));
  } else if (name == "top_p") {
    QUIPU_ASSIGN(s.top_p, number(name, v));
  } else if (name == "min_p") {
    QUIPU_ASSIGN(s.min_p, number(name, v));
  } else if (name == "typical_p") {
    QUIPU_ASSIGN(s.typical_p, number(name, v));
  } else if (name == "repeat_last_n") {
    QUIPU_ASSIGN(s.repeat_last_n, small_integer(name, v));
  } else if (name == "repeat_penalty") {
    QUIPU_ASSIGN(s.repeat_penalty, number(name, v));
  } else if (name == "presence_penalty") {
    QUIPU_ASSIGN(s.presence_penalty, number(name, v));
  } else if (name == "frequency_penalty") {
    QUIPU_ASSIGN(s.frequency_penalty, number(name, v));
  } else if (name == "seed") {
    QUIPU_ASSIGN(s.seed, integer(name, v));
  } else if (name == "num_predict") {
    QUIPU_ASSIGN(o.num_predict, integer(name, v));
  } else if (name == "num_keep") {
    QUIPU_ASSIGN(o.num_keep, integer(name, v));
  } else if (name == "repeat_guard") {
    QUIPU_ASSIGN(o.repeat_guard, boolean(name, v));
  } else if (name == "num_ctx") {
    QUIPU_ASSIGN(const int64_t n, integer(name, v));
    o.n_ctx = std::max<int64_t>(n, 4);  // smaller contexts are raised to 4, as clients expect
  } else if (name == "num_thread") {
    QUIPU_ASSIGN(const int32_t n, small_integer(name, v));
    o.n_threads = std::max(n, 0);
  } else if (name == "kv_cache_type") {
    if (!v.is_string()) return wrong_type(name, "string");
    auto types = parse_kv_types(v.get_ref<const std::string&>());
    if (!types) return wrap(std::move(types).error(), "option \"kv_cache_type\"");
    o.kv_types = *types;
  } else if (name == "max_seconds") {
    QUIPU_ASSIGN(const float seconds, number(name, v));
    if (seconds < 0) return error(Code::kInvalidArgument, "option \"max_seconds\" must not be negative");
    o.max_seconds = seconds;
  } else if (name == "stop") {
    if (!v.is_array()) return wrong_type(name, "array");
    o.stop.clear();
    for (const Json& s1 : v) {
      if (!s1.is_string()) return wrong_type(name, "an array of strings");
      if (!s1.get_ref<const std::string&>().empty()) o.stop.push_back(s1.get<std::string>());
    }
  } else if (std::find(kLoadOptions.begin(), kLoadOptions.end(), name) == kLoadOptions.end()) {
    unknown.warn(name);
  }
  return {};
}

}  // namespace

Result<void> read_options(const Json& options, GenerateOptions& o, UnknownOptions& unknown) {
  if (options.is_null()) return {};
  if (!options.is_object()) return error(Code::kInvalidArgument, "options must be an object");
  for (const auto& [name, v] : options.items())
    if (!v.is_null()) QUIPU_TRY(read_one(name, v, o, unknown));
  return {};
}

}  // namespace quipu::runner
