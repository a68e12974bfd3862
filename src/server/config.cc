#include "server/config.h"

#include <algorithm>
#include <initializer_list>

#include "base/cpu.h"
#include "base/environment.h"
#include "base/units.h"
#include "runner/kv_types.h"
#include "runner/load_options.h"

namespace quipu::server {

namespace {

using Names = std::initializer_list<const char*>;

// Reads one variable after the other into a config, and notes what it found.
class Reader {
 public:
  explicit Reader(Config& config) : c_(config) {}

  std::string text(Names names, std::string fallback = {}) {
    const auto v = environment(names);
    return note(names, v ? v->value : std::move(fallback));
  }

  std::vector<std::string> list(Names names) {
    std::vector<std::string> out;
    const std::string all = text(names);
    for (size_t at = 0; at <= all.size();) {
      const size_t comma = std::min(all.find(',', at), all.size());
      std::string item = all.substr(at, comma - at);
      item.erase(0, item.find_first_not_of(" \t"));
      item.erase(item.find_last_not_of(" \t") + 1);
      if (!item.empty()) out.push_back(std::move(item));
      at = comma + 1;
    }
    return out;
  }

  bool flag(Names names, bool fallback) {
    const auto v = environment(names);
    const bool on = v ? v->on() : fallback;
    note(names, on ? "true" : "false");
    return on;
  }

  int64_t number(Names names, int64_t fallback, int64_t least, int64_t most) {
    int64_t n = fallback;
    if (const auto v = environment(names)) {
      if (const auto given = v->whole_number(least, most))
        n = *given;
      else
        c_.warnings.push_back(given.error().message + "; using the default");
    }
    note(names, fmt::format("{}", n));
    return n;
  }

  enum class Negative { kRefused, kMeant };  // for ever
  std::chrono::nanoseconds duration(Names names, std::chrono::nanoseconds fallback, Negative negative) {
    std::chrono::nanoseconds d = fallback;
    if (const auto v = environment(names)) {
      if (const auto given = negative == Negative::kMeant ? v->signed_duration_ns() : v->duration_ns())
        d = std::chrono::nanoseconds(*given);
      else
        c_.warnings.push_back(given.error().message + "; using the default");
    }
    note(names, format_duration_ns(d.count()));
    return d;
  }

  // A size or a percentage.
  std::optional<ByteShare> share(const char* name) {
    const auto v = environment(name);
    std::optional<ByteShare> out;
    if (v) {
      if (const auto given = parse_byte_share(v->value))
        out = *given;
      else
        c_.warnings.push_back(fmt::format("{}: {}; using the default", v->name, given.error().message));
    }
    note({name}, out ? v->value : "");
    return out;
  }

  // Secrets are not shown.
  std::string secret(Names names) {
    const auto v = environment(names);
    note(names, v ? "(set)" : "");
    return v ? v->value : std::string();
  }

 private:
  std::string note(Names names, std::string value) {
    c_.effective.emplace_back(*names.begin(), value);
    return value;
  }

  Config& c_;
};

std::string default_models() {
  const auto home = environment("HOME");
  return (home ? home->value : std::string("/usr/share/ollama")) + "/.ollama/models";
}

}  // namespace

Config Config::from_environment() {
  Config c;
  Reader read(c);
  c.host = http::host_setting_from_environment();
  if (!c.host.warning.empty()) c.warnings.push_back(c.host.warning);
  c.effective.emplace_back("QUIPU_HOST", c.host.endpoint.to_string());
  c.origins = read.list({"QUIPU_ORIGINS", "OLLAMA_ORIGINS"});
  c.models = read.text({"QUIPU_MODELS", "OLLAMA_MODELS"}, default_models());
  c.api_key = read.secret({"QUIPU_API_KEY"});
  using Negative = Reader::Negative;
  c.keep_alive = read.duration({"QUIPU_KEEP_ALIVE", "OLLAMA_KEEP_ALIVE"}, c.keep_alive, Negative::kMeant);
  c.load_timeout =
      read.duration({"QUIPU_LOAD_TIMEOUT", "OLLAMA_LOAD_TIMEOUT"}, c.load_timeout, Negative::kMeant);
  c.request_timeout = read.duration({"QUIPU_REQUEST_TIMEOUT"}, c.request_timeout, Negative::kRefused);
  c.context_length = read.number({"QUIPU_CONTEXT_LENGTH", "OLLAMA_CONTEXT_LENGTH"}, 0, 0, int64_t{1} << 30);
  c.num_parallel = read.number({"QUIPU_NUM_PARALLEL", "OLLAMA_NUM_PARALLEL"}, 0, 0, 256);
  if (c.num_parallel == 0) c.num_parallel = 4;  // to Ollama 0 is "decide"
  c.max_loaded = read.number({"QUIPU_MAX_LOADED_MODELS", "OLLAMA_MAX_LOADED_MODELS"}, 0, 0, 1'000);
  if (c.max_loaded == 0) c.max_loaded = 3;
  c.max_queue = read.number({"QUIPU_MAX_QUEUE", "OLLAMA_MAX_QUEUE"}, c.max_queue, 0, 1'000'000);
  c.threads = read.number({"QUIPU_THREADS"}, 0, 0, 1024);
  c.kv_cache_type = read.text({"QUIPU_KV_CACHE_TYPE", "OLLAMA_KV_CACHE_TYPE"});
  std::transform(c.kv_cache_type.begin(), c.kv_cache_type.end(), c.kv_cache_type.begin(),
                 [](char ch) { return ch >= 'A' && ch <= 'Z' ? static_cast<char>(ch + 32) : ch; });
  if (!c.kv_cache_type.empty() && !runner::parse_kv_types(c.kv_cache_type)) c.kv_cache_type.clear();
  c.memory.memory = read.share(memory::Bounds::kMemoryVariable);
  if (c.memory.memory && c.memory.memory->is_zero()) c.memory.memory.reset();  // automatic
  c.memory.reserve = read.share(memory::Bounds::kReserveVariable);
  c.prune = !read.flag({"QUIPU_NOPRUNE", "OLLAMA_NOPRUNE"}, false);
  c.log_requests = read.flag({"QUIPU_DEBUG_LOG_REQUESTS", "OLLAMA_DEBUG_LOG_REQUESTS"}, false);
  if (environment({"QUIPU_GO_TEMPLATE", "OLLAMA_GO_TEMPLATE"}))
    c.go_templates = read.flag({"QUIPU_GO_TEMPLATE", "OLLAMA_GO_TEMPLATE"}, true);
  c.preload = read.list({"QUIPU_PRELOAD"});
  // What runners read themselves; some of it has been read above, too.
  for (const std::string& sentence : runner::bad_load_settings())
    if (std::string warning = sentence + "; using the default";
        std::ranges::find(c.warnings, warning) == c.warnings.end())
      c.warnings.push_back(std::move(warning));
  if (const auto isa = choose_isa(); !isa)
    c.warnings.push_back(isa.error().message + "; no model can be loaded with it");
  std::sort(c.effective.begin(), c.effective.end());
  return c;
}

}  // namespace quipu::server
