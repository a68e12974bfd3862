// What a server on this machine says of its memory, where one listens: asked, never started.
//
// Threads: blocking calls, a few seconds at most unless they are given more.
#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "base/result.h"
#include "http/message.h"

namespace quipu::workbench {

using Json = nlohmann::ordered_json;

// Whether QUIPU_HOST names this machine, and not another.
bool server_is_here();

// What the server that QUIPU_HOST names answers to a GET, wherever it is.
Result<http::Response> get_from_server(const std::string& path, std::chrono::milliseconds patience);

// The same for a POST.
Result<http::Response> post_to_server(const std::string& path, const Json& body,
                                      std::chrono::milliseconds patience);

// Whether the server that QUIPU_HOST names, wherever it is, has this model; no: none answers.
bool server_has(const std::string& model);
// "127.0.0.1:11434", for people.
std::string server_name();

// The object that the server which QUIPU_HOST names answers to a GET, if that is this machine's own and it
// answers before it has been silent for so long.
std::optional<Json> ask_server(const std::string& path,
                               std::chrono::milliseconds patience = std::chrono::seconds(3));
// /api/ps of the server that QUIPU_HOST names, if that is this machine's own and it answers.
std::optional<Json> ask_loaded();

// Of that answer, the memory object of the model with this name; null: it is not loaded.
Json memory_of(const Json& loaded, const std::string& short_name);

// Of that answer, what of the budget is for that model: what all others leave. Nothing: it does not say.
std::optional<uint64_t> free_for(const Json& loaded, const std::string& short_name);

// Of that answer, the machine as the server sees it, with what its other models are charged; null: it does
// not say.
Json machine_of(const Json& loaded);

}  // namespace quipu::workbench
