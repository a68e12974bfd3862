#include "runner/load_options.h"

#include <array>

#include "base/environment.h"
#include "runner/kv_types.h"

namespace quipu::runner {

namespace {

Result<void> read_parallel(LoadOptions& o) {
  const auto v = environment({"QUIPU_NUM_PARALLEL", "OLLAMA_NUM_PARALLEL"});
  if (!v) return {};
  QUIPU_ASSIGN(o.n_parallel, v->whole_number(0, 256));
  if (o.n_parallel == 0) o.n_parallel = LoadOptions().n_parallel;  // to Ollama 0 is "decide"
  return {};
}

Result<void> read_threads(LoadOptions& o) {
  const auto v = environment("QUIPU_THREADS");
  if (!v) return {};
  QUIPU_ASSIGN(const int64_t n, v->whole_number(0, 1024));
  o.n_threads = static_cast<int>(n);
  return {};
}

Result<void> read_kv_types(LoadOptions& o) {
  const auto v = environment({"QUIPU_KV_CACHE_TYPE", "OLLAMA_KV_CACHE_TYPE"});
  if (!v) return {};
  const auto types = parse_kv_types(v->value);
  if (!types) return wrap(types.error(), v->name);
  o.kv_types = *types;
  return {};
}

Result<void> read_prefixes(LoadOptions& o) {
  if (const auto v = environment("QUIPU_PREFIX_CACHE")) o.keep_prefixes = v->on();
  if (const auto v = environment("QUIPU_IDLE_TRIM")) {
    QUIPU_ASSIGN(const int64_t ns, v->duration_ns());
    o.idle_trim_seconds = static_cast<double>(ns) / 1e9;
  }
  return {};
}

constexpr std::array kReaders = {read_parallel, read_threads, read_kv_types, read_prefixes};

}  // namespace

Result<LoadOptions> default_load_options() {
  LoadOptions o;
  for (const auto read : kReaders) QUIPU_TRY(read(o));
  QUIPU_ASSIGN(o.bounds, memory::Bounds::from_environment());
  return o;
}

LoadOptions load_options_below_server() {
  LoadOptions o;
  for (const auto read : kReaders) (void)read(o);
  return o;
}

std::vector<std::string> bad_load_settings() {
  std::vector<std::string> out;
  LoadOptions o;
  for (const auto read : kReaders)
    if (const auto done = read(o); !done) out.push_back(done.error().message);
  return out;
}

}  // namespace quipu::runner
