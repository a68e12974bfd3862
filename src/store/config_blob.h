// The config blob: what a model is, in a few words. Spec: ollama-compat 5.4.
//
// Threads: values and pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace quipu::store {

struct ConfigBlob {
  std::string model_format;                 // "gguf"
  std::string model_family;                 // the architecture
  std::vector<std::string> model_families;  // of every weights layer
  std::string model_type;                   // number of parameters: "134.52M"
  std::string file_type;                    // quantisation: "Q4_K_M"
  std::string renderer, parser, requires_version;
  std::string remote_host, remote_model;
  std::vector<std::string> capabilities;
  uint64_t context_length = 0, embedding_length = 0;
  std::string base_name;

  struct Draft {
    std::string model_format, architecture;
    friend bool operator==(const Draft&, const Draft&) = default;
  };
  std::optional<Draft> draft;

  friend bool operator==(const ConfigBlob&, const ConfigBlob&) = default;
};

// Fields of another type than theirs are kCorrupt; unknown ones are ignored.
Result<ConfigBlob> parse_config(std::string_view bytes);

// One line of JSON and a line end, as Ollama writes it.
std::string format_config(const ConfigBlob& config);

}  // namespace quipu::store
