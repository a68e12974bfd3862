// The environment variables that help pages and manual pages name.
#include <algorithm>

#include "cli/command_table.h"

namespace quipu::cli {

std::span<const EnvironmentVariable> environment_variables() {
  static const std::vector<EnvironmentVariable> kVariables = {
      {"QUIPU_HOST", "OLLAMA_HOST",
       "where the server is: HOST, HOST:PORT, http://HOST:PORT/PATH or unix:///PATH (default "
       "127.0.0.1:11434)"},
      {"QUIPU_API_KEY", "", "the key that the server asks for (default: none)"},
      {"QUIPU_HISTORY", "", "the file that what is typed is remembered in (default ~/.quipu/history)"},
      {"QUIPU_NOHISTORY", "OLLAMA_NOHISTORY", "on: what is typed is not remembered"},
      {"QUIPU_EDITOR", "OLLAMA_EDITOR", "the editor that Ctrl-G opens (default $VISUAL, $EDITOR, vi)"},
      {"NO_COLOR", "", "set: no colours"},
      {"QUIPU_ORIGINS", "OLLAMA_ORIGINS",
       "web pages that may ask, comma-separated, beside those of this machine"},
      {"QUIPU_MODELS", "OLLAMA_MODELS", "the store's folder (default ~/.ollama/models)"},
      {"QUIPU_PRELOAD", "", "models to load at start and keep, comma-separated"},
      {"QUIPU_KEEP_ALIVE", "OLLAMA_KEEP_ALIVE",
       "how long a model stays loaded without use (default 5m; negative: for ever)"},
      {"QUIPU_CONTEXT_LENGTH", "OLLAMA_CONTEXT_LENGTH",
       "tokens of context where neither model nor request says (default: the model's)"},
      {"QUIPU_KV_CACHE_TYPE", "OLLAMA_KV_CACHE_TYPE",
       "type of the KV cache: f16, bf16, q8_0, q4_0, f32 or K:V (default q8_0)"},
      {"QUIPU_NUM_PARALLEL", "OLLAMA_NUM_PARALLEL", "sequences that a model computes at once (default 4)"},
      {"QUIPU_MEMORY", "",
       "memory for all models together: 8GiB, or 60% of this machine's (default: all there is but the "
       "reserve)"},
      {"QUIPU_MEMORY_RESERVE", "",
       "kept free for other programs where QUIPU_MEMORY is not set (default 512MiB, or 5% if that is more)"},
      {"QUIPU_MAX_LOADED_MODELS", "OLLAMA_MAX_LOADED_MODELS", "models loaded at once (default 3)"},
      {"QUIPU_MAX_QUEUE", "OLLAMA_MAX_QUEUE", "requests that may wait (default 512)"},
      {"QUIPU_LOAD_TIMEOUT", "OLLAMA_LOAD_TIMEOUT", "how long a load may take without progress (default 5m)"},
      {"QUIPU_REQUEST_TIMEOUT", "", "how long one request may take (default: no limit)"},
      {"QUIPU_THREADS", "", "threads (default: one for each physical core)"},
      {"QUIPU_ISA", "", "kernels: scalar, avx2 or avx512 (default: the best this processor has)"},
      {"QUIPU_PREFIX_CACHE", "", "off: nothing is kept between requests"},
      {"QUIPU_IDLE_TRIM", "", "when what is kept goes back to the system (default 60s)"},
      {"QUIPU_NOPRUNE", "OLLAMA_NOPRUNE", "on: files that no model uses stay in the store"},
      {"QUIPU_GO_TEMPLATE", "OLLAMA_GO_TEMPLATE", "off: models use the template in their file"},
      {"QUIPU_DEBUG", "OLLAMA_DEBUG", "on: log details"},
      {"QUIPU_LOG_FORMAT", "", "json: every log line is a JSON object"},
  };
  return kVariables;
}

const EnvironmentVariable* find_variable(std::string_view name) {
  const auto all = environment_variables();
  const auto it = std::ranges::find(all, name, &EnvironmentVariable::name);
  return it != all.end() ? &*it : nullptr;
}

}  // namespace quipu::cli
