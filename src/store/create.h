// Making a model: from another one, or from uploaded files. Spec: ollama-compat 1.13, 7.3, 7.4.
//
// Threads: one call per thread; several at a time are fine.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/store.h"

namespace quipu::store {

struct CreateRequest {
  std::string model = {};                            // the name to write
  std::string from = {};                             // a model's name; `files` count only where it is empty
  using Files = std::map<std::string, std::string>;  // relative path to digest
  std::optional<Files> files = {}, adapters = {}, draft_files = {};
  std::string template_text = {}, system = {}, renderer = {}, parser = {}, requires_version = {};
  std::string quantize = {}, draft_quantize = {};
  std::vector<std::string> licenses = {};
  nlohmann::json parameters = nlohmann::json::object();
  nlohmann::json messages = nlohmann::json::array();  // objects with role and content, as sent
  nlohmann::json info = {};  // an object that overrides what the config says, or null
};

struct CreateProgress {
  std::string status = {};
  std::string digest = {};  // with the numbers below; empty: there are none
  uint64_t total = 0, completed = 0;
};

// What creating needs from elsewhere. Each may be empty.
struct CreateHooks {
  std::function<void(const CreateProgress&)> progress;
  // Fetches a base model that is not here, with its own progress.
  std::function<Result<void>(const ModelName&)> pull;
  std::function<bool()> cancelled;
};

// What can be refused before anything is done: kInvalidArgument, in Ollama's words.
Result<void> check_request(const CreateRequest& request);

// Up to "writing manifest" and "success"; the manifest as it was written. kInvalidArgument is the request's
// fault (400), the rest is 500: kUnsupported, kIo, kCorrupt, kCancelled.
Result<Manifest> create_model(Store& store, const CreateRequest& request, const CreateHooks& hooks);

}  // namespace quipu::store
