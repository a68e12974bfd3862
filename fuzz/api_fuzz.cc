// Any bytes as the body of each endpoint of the native API, up to what is handed to a runner.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "modelfile/parameters.h"
#include "server/keep_alive.h"
#include "server/native/messages.h"
#include "server/request_body.h"
#include "server/router.h"

namespace {

using namespace quipu;
using server::Fields;
using server::Json;

void require(bool condition) {
  if (!condition) std::abort();
}

// An error is one sentence in UTF-8: it goes into JSON.
template <class T>
void check(const Result<T>& r) {
  if (!r) require(!server::go_json(Json(r.error().message)).empty());
}

void as_request(const Json& body) {
  const Fields f(body, "Request");
  for (const char* name : {"model", "prompt", "system", "source", "destination"}) check(f.text(name));
  check(f.flag("stream", true));
  check(f.integer("top_logprobs", 0));
  check(server::parse_keep_alive(f.find("keep_alive")));
  check(server::parse_think(f.find("think")));
  if (const Json* options = f.find("options"); options != nullptr && options->is_object())
    if (const auto converted = modelfile::convert_options(nlohmann::json(*options)))
      (void)modelfile::format_parameters(converted->known);

  store::ModelInfo model;
  model.config.model_family = "qwen3";
  if (const auto in = server::native::read_generate_input(f)) {
    Json out = Json::object();
    server::native::add_prompt(out, *in, model);
    require(server::parse_first_value(server::go_json(out)).has_value());
  } else {
    check(in);
  }
  if (const auto in = server::native::read_chat_input(f)) {
    Json out = Json::object();
    if (!in->messages.empty()) server::native::add_messages(out, *in, model);
    require(server::parse_first_value(server::go_json(out)).has_value());
  } else {
    check(in);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)server::clean_path(server::parse_target(text).path);
  const auto body = server::parse_object(text, "Request");
  if (body)
    as_request(*body);
  else
    check(body);
  return 0;
}
