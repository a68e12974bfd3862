// What a model's name stands for: files, texts, options, capabilities. Spec:
// ollama-compat 1.10, 5.3, 7.6, 8.1.
//
// Threads: values; a ModelReader from any thread.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/config_blob.h"
#include "store/gguf_facts.h"
#include "store/store.h"

namespace quipu::store {

inline constexpr std::string_view kDefaultTemplate = "{{ .Prompt }}";

// Which template makes the prompt.
enum class TemplateSource {
  kNone,      // no template layer, and none in the file: the default template
  kGo,        // the template layer
  kJinja,     // the weights file's own
  kRenderer,  // the built-in renderer or parser that the config names
};

struct ModelInfo {
  ModelName name;
  Digest digest;  // of the manifest
  int64_t modified_ns = 0;
  Manifest manifest;
  ConfigBlob config;

  std::string model_path;  // the weights; the first part of split ones; empty: it has none
  std::optional<Digest> model_digest;
  std::vector<std::string> shard_paths;  // further parts
  std::vector<std::string> projector_paths, adapter_paths, draft_paths;
  std::string parent_model;  // which model the weights were taken from

  std::optional<std::string> go_template;  // of the template layer
  std::string system;
  std::vector<std::string> licenses;
  nlohmann::json parameters = nlohmann::json::object();
  nlohmann::json messages = nlohmann::json::array();

  // Of the weights, if they can be read; `facts_problem` says why not.
  std::shared_ptr<const GgufFacts> facts;
  std::string facts_problem;
  std::vector<std::shared_ptr<const GgufFacts>> projector_facts;

  TemplateSource template_source = TemplateSource::kNone;
  std::vector<std::string> capabilities;  // in Ollama's order, without doubles

  bool can(std::string_view capability) const;
  // The text of the template that is in use; of a built-in renderer what lies beside it.
  std::string template_text() const;
};

// Fills in template_source and capabilities from the rest.
void derive(ModelInfo& info);

class ModelReader {
 public:
  explicit ModelReader(const Store& store) : store_(&store) {}

  // By any spelling of the name. kNotFound: "model 'NAME' not found"; kIo, kCorrupt: a blob that is missing
  // or wrong.
  Result<ModelInfo> read(const ModelName& name);
  Result<ModelInfo> read(const StoredManifest& stored);
  // What lists need: without system, licenses, parameters and messages.
  Result<ModelInfo> read_summary(const StoredManifest& stored);

 private:
  Result<void> read_files(const Layer& layer, ModelInfo& info);
  Result<void> read_texts(const Layer& layer, ModelInfo& info) const;
  void read_weights(const Layer& layer, ModelInfo& info);
  Result<std::string> blob_text(const Digest& digest) const;

  const Store* store_;
  GgufFactsCache facts_;
};

}  // namespace quipu::store
