// What the environment says about a server. Spec: ollama-compat 4, quipu-extensions 3.
//
// Threads: values.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "http/host_setting.h"
#include "memory/machine.h"

namespace quipu::server {

struct Config {
  http::HostSetting host;
  std::vector<std::string> origins;
  std::string models;  // the store's root
  std::string api_key;
  std::chrono::nanoseconds keep_alive = std::chrono::minutes(5);    // negative: for ever
  std::chrono::nanoseconds load_timeout = std::chrono::minutes(5);  // 0 or less: none
  std::chrono::nanoseconds request_timeout{0};                      // 0: none
  int64_t context_length = 0;                                       // 0: the model's, as far as memory goes
  int64_t num_parallel = 4;
  int64_t max_loaded = 3;
  int64_t max_queue = 512;
  int64_t threads = 0;
  std::string kv_cache_type;         // empty: the runner's default
  memory::Bounds memory;             // of what all models may take together
  bool prune = true;                 // unused blobs at start, after create and delete
  bool log_requests = false;         // bodies, to files
  std::optional<bool> go_templates;  // absent: whichever of the model's two templates offers more
  std::vector<std::string> preload;  // names of models

  std::vector<std::string> warnings;                           // values that were passed over
  std::vector<std::pair<std::string, std::string>> effective;  // by name, for the log: variable, value

  // Values that make no sense are warnings, and the default counts, as Ollama has it. A QUIPU_ISA that makes
  // none is a warning, and every load will fail for it.
  static Config from_environment();
};

}  // namespace quipu::server
