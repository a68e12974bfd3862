#include "workbench/running_server.h"

#include <algorithm>

#include "base/environment.h"
#include "base/json_members.h"
#include "http/client.h"
#include "http/host_setting.h"

namespace quipu::workbench {

namespace {

// What another machine has says nothing about this one.
bool is_here(const http::Endpoint& e) {
  return e.is_unix() || e.host.empty() || e.host == "localhost" || e.host == "0.0.0.0" || e.host == "::" ||
         e.host == "::1" || e.host.starts_with("127.");
}

Result<http::Response> send(http::Request request, std::chrono::milliseconds patience) {
  http::HostSetting where = http::host_setting_from_environment();
  if (!where.endpoint.is_unix() && where.endpoint.host.empty()) where.endpoint.host = "127.0.0.1";
  http::ClientOptions options;
  options.connect_timeout = std::chrono::milliseconds(is_here(where.endpoint) ? 500 : 2'000);
  options.silence_timeout = patience;
  request.target = where.path_prefix + request.target;
  if (const auto key = environment("QUIPU_API_KEY"))
    request.headers.add("Authorization", "Bearer " + key->value);
  return http::Client(where.endpoint, options).send(request);
}

}  // namespace

bool server_is_here() { return is_here(http::host_setting_from_environment().endpoint); }

Result<http::Response> get_from_server(const std::string& path, std::chrono::milliseconds patience) {
  return send({.method = "GET", .target = path}, patience);
}

Result<http::Response> post_to_server(const std::string& path, const Json& body,
                                      std::chrono::milliseconds patience) {
  // A name of the command line need not be UTF-8.
  return send(
      {.method = "POST", .target = path, .body = body.dump(-1, ' ', false, Json::error_handler_t::replace)},
      patience);
}

bool server_has(const std::string& model) {
  const auto answer = post_to_server("/api/show", {{"model", model}}, std::chrono::seconds(3));
  return answer && answer->status == 200;
}

std::string server_name() {
  const http::HostSetting where = http::host_setting_from_environment();
  return where.endpoint.to_string();
}

std::optional<Json> ask_server(const std::string& path, std::chrono::milliseconds patience) {
  if (!server_is_here()) return std::nullopt;
  const auto answer = get_from_server(path, patience);
  if (!answer || answer->status != 200) return std::nullopt;
  Json loaded = Json::parse(answer->body, nullptr, false);
  if (!loaded.is_object()) return std::nullopt;
  return loaded;
}

std::optional<Json> ask_loaded() { return ask_server("/api/ps"); }

namespace {

// What the server says of a model beyond Ollama's fields; null: it is not loaded.
const Json* find_loaded(const Json& loaded, const std::string& short_name) {
  const Json* models = member_at(loaded, "models");
  if (models == nullptr || !models->is_array() || short_name.empty()) return nullptr;
  for (const Json& model : *models)
    if (const Json* name = member_at(model, "name"); name != nullptr && *name == short_name)
      return member_at(model, "quipu");
  return nullptr;
}

}  // namespace

Json memory_of(const Json& loaded, const std::string& short_name) {
  const Json* ours = find_loaded(loaded, short_name);
  const Json* memory = ours != nullptr ? member_at(*ours, "memory") : nullptr;
  return memory != nullptr && memory->is_object() ? *memory : Json();
}

std::optional<uint64_t> free_for(const Json& loaded, const std::string& short_name) {
  const Json machine = machine_of(loaded);
  const Json *budget = member_at(machine, "budget"), *admitted = member_at(machine, "admitted");
  if (budget == nullptr || admitted == nullptr || !budget->is_number_unsigned() ||
      !admitted->is_number_unsigned())
    return std::nullopt;
  const Json* ours = find_loaded(loaded, short_name);
  const uint64_t own = ours != nullptr ? bytes_at(*ours, "charge") : 0;  // what it is charged is free for it
  const uint64_t all = admitted->get<uint64_t>(), whole = budget->get<uint64_t>();
  const uint64_t others = all - std::min(all, own);
  return whole - std::min(whole, others);
}

Json machine_of(const Json& loaded) {
  const Json* ours = member_at(loaded, "quipu");
  const Json* machine = ours != nullptr ? member_at(*ours, "machine") : nullptr;
  return machine != nullptr && machine->is_object() ? *machine : Json();
}

}  // namespace quipu::workbench
