#include "runner/service.h"

#include <malloc.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "base/checked.h"
#include "base/log.h"
#include "base/units.h"
#include "runner/answer_stream.h"
#include "runner/json_body.h"
#include "runner/prompt.h"
#include "runner/run_options.h"

namespace quipu::runner {

namespace {

using Json = nlohmann::ordered_json;

enum class Route { kHealth, kInfo, kMemory, kGenerate, kTokenize, kDetokenize, kFill };

struct Entry {
  std::string_view path, method;
  Route route;
};

constexpr std::array kRoutes = {
    Entry{"/health", "GET", Route::kHealth},      Entry{"/info", "GET", Route::kInfo},
    Entry{"/memory", "GET", Route::kMemory},      Entry{"/generate", "POST", Route::kGenerate},
    Entry{"/tokenize", "POST", Route::kTokenize}, Entry{"/detokenize", "POST", Route::kDetokenize},
    Entry{"/debug/fill", "POST", Route::kFill},
};

const Entry* find_route(const http::Request& request) {
  const std::string_view path = std::string_view(request.target).substr(0, request.target.find('?'));
  const auto it =
      std::find_if(kRoutes.begin(), kRoutes.end(), [&](const Entry& e) { return e.path == path; });
  return it == kRoutes.end() ? nullptr : &*it;
}

// After a large request its memory goes back to the system: what is measured stays what was planned.
constexpr size_t kLargeBody = size_t{1} << 20;

}  // namespace

http::ServerOptions Service::server_options() {
  http::ServerOptions options;
  options.max_connections = 1024;  // the only client is a server or a command line of the same user
  return options;
}

Result<std::unique_ptr<Service>> Service::start(LoadedModel& model, const std::string& socket_path,
                                                const http::ServerOptions& options) {
  std::unique_ptr<Service> service(new Service(model));
  service->worker_ = std::make_unique<WorkQueue>();
  http::Endpoint endpoint;
  endpoint.path = socket_path;
  QUIPU_ASSIGN(service->server_, http::Server::listen(endpoint, options,
                                                      [s = service.get()](std::shared_ptr<http::Exchange> x) {
                                                        s->take(std::move(x));
                                                      }));
  return service;
}

Service::~Service() { server_.reset(); }

void Service::take(std::shared_ptr<http::Exchange> exchange) {
  const http::Request& request = exchange->request();
  const Entry* entry = find_route(request);
  if (entry == nullptr)
    return respond_error(*exchange,
                         Error{Code::kNotFound, fmt::format("there is no {}", request.target), {}});
  if (request.method != entry->method) {
    const Error e{Code::kInvalidArgument, fmt::format("{} takes {}", entry->path, entry->method), {}};
    return exchange->respond({.status = 405,
                              .headers = {{"Content-Type", "application/json; charset=utf-8"},
                                          {"Allow", std::string(entry->method)}},
                              .body = error_json(e).dump() + "\n"});
  }
  if (entry->route == Route::kHealth) return respond(*exchange, 200, {{"status", "ok"}});
  worker_->post([this, exchange = std::move(exchange), received = std::chrono::steady_clock::now()] {
    const size_t size = exchange->request().body.size();
    try {
      work(exchange, received);
    } catch (const std::exception& e) {  // no memory for a body's values; nothing else is meant to throw
      respond_error(*exchange, Error{Code::kInternal, fmt::format("the request failed: {}", e.what()), {}});
    }
    if (size > kLargeBody) malloc_trim(0);
  });
}

void Service::work(const std::shared_ptr<http::Exchange>& exchange,
                   std::chrono::steady_clock::time_point received) {
  if (exchange->gone()) return;
  const auto answer = [&]() -> Result<Json> {
    const Route route = find_route(exchange->request())->route;
    if (route == Route::kInfo) return model_.info();
    if (route == Route::kMemory) return model_.memory();
    QUIPU_ASSIGN(const nlohmann::json body, parse_body(exchange->request().body));
    switch (route) {
      case Route::kTokenize:
        return tokenize(body);
      case Route::kDetokenize:
        return detokenize(body);
      case Route::kFill:
        return fill(body);
      default:
        break;
    }
    QUIPU_TRY(generate(body, exchange, received));
    return Json();  // the engine answers
  }();
  if (!answer)
    respond_error(*exchange, answer.error());
  else if (!answer->is_null())
    respond(*exchange, 200, *answer);
}

Result<Json> Service::tokenize(const nlohmann::json& body) {
  QUIPU_ASSIGN(const Tokenizer* tokenizer, model_.need_tokenizer());
  QUIPU_ASSIGN(const std::string text, text_field(body, "text"));
  QUIPU_ASSIGN(const bool add_special, flag_field(body, "add_special", true));
  QUIPU_ASSIGN(const bool parse_special, flag_field(body, "parse_special", true));
  return Json{{"tokens", tokenizer->encode(text, add_special, parse_special)}};
}

Result<Json> Service::detokenize(const nlohmann::json& body) {
  QUIPU_ASSIGN(const Tokenizer* tokenizer, model_.need_tokenizer());
  const auto it = body.find("tokens");
  if (it == body.end() || !it->is_array())
    return error(Code::kInvalidArgument, "\"tokens\" must be an array of token ids");
  std::vector<Token> ids;
  ids.reserve(it->size());
  for (const nlohmann::json& id : *it) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() >= static_cast<uint64_t>(tokenizer->size()))
      return error(Code::kInvalidArgument, "\"tokens\" must be token ids between 0 and {}",
                   tokenizer->size() - 1);
    ids.push_back(static_cast<Token>(id.get<uint64_t>()));
  }
  return Json{{"text", tokenizer->decode(ids, false, true)}};
}

Result<Json> Service::fill(const nlohmann::json& body) {
  const EngineOptions& engine = model_.engine().options();
  if (!body.contains("tokens")) return error(Code::kInvalidArgument, "\"tokens\" is missing");
  QUIPU_ASSIGN(const int64_t tokens, integer_field(body, "tokens", 0, 0, engine.n_ctx));
  QUIPU_ASSIGN(const int64_t sequences, integer_field(body, "sequences", 1, 1, engine.n_parallel));
  QUIPU_TRY(model_.engine().fill(tokens, sequences));
  return model_.memory();
}

// What this machine could not hold even for one sequence alone is refused at once, not when it is half
// written.
Result<void> Service::check_room(const GenerateOptions& options, int64_t n_prompt) const {
  const uint64_t block = std::max<uint64_t>(model_.planned().plan.kv_block_bytes, 1);
  const uint64_t room = model_.engine().kv_use().committed + model_.kv_room();
  const int64_t tokens = std::max(options.n_ctx, n_prompt + 1);
  const auto wanted =
      checked_mul(static_cast<uint64_t>(ceil_div<int64_t>(tokens, kernels::kBlockTokens)), block);
  if (wanted && *wanted <= room) return {};
  return error(Code::kOutOfMemory, "{} tokens need a KV cache of {}, but {} are free: num_ctx {} fits",
               tokens, format_bytes(wanted.value_or(UINT64_MAX)), format_bytes(room),
               room / block * kernels::kBlockTokens);
}

Result<void> Service::generate(const nlohmann::json& body, const std::shared_ptr<http::Exchange>& exchange,
                               std::chrono::steady_clock::time_point received) {
  GenerateOptions options;
  if (const auto it = body.find("options"); it != body.end()) {
    QUIPU_TRY(read_options(*it, options));
    QUIPU_TRY(check_kv_cache_type(*it, model_.planned().kv_type));
  }
  QUIPU_ASSIGN(options.shift, flag_field(body, "shift", true));
  const int64_t trained = model_.model().n_ctx_train();
  if (options.n_ctx > std::max(trained, model_.engine().options().n_ctx))
    return error(Code::kInvalidArgument, "num_ctx {} is more than the {} tokens this model was trained for",
                 options.n_ctx, trained);
  QUIPU_TRY(check_room(options, 0));
  QUIPU_ASSIGN(Prompt prompt, make_prompt(model_, body, options));
  QUIPU_TRY(check_room(options, static_cast<int64_t>(prompt.tokens.size())));
  return AnswerStream::start(model_.engine(), exchange, std::move(prompt), std::move(options), received);
}

}  // namespace quipu::runner
