#include "runner/service.h"

#include <malloc.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "runner/answer_stream.h"
#include "runner/embed.h"
#include "runner/generate_request.h"
#include "runner/prompt.h"
#include "runner/respond.h"

namespace quipu::runner {

namespace {

enum class Route { kHealth, kInfo, kMemory, kGenerate, kEmbed, kTokenize, kDetokenize, kTrim, kFill };

struct Entry {
  std::string_view path, method;
  Route route;
};

constexpr std::array kRoutes = {
    Entry{"/health", "GET", Route::kHealth},          Entry{"/info", "GET", Route::kInfo},
    Entry{"/memory", "GET", Route::kMemory},          Entry{"/generate", "POST", Route::kGenerate},
    Entry{"/embed", "POST", Route::kEmbed},           Entry{"/tokenize", "POST", Route::kTokenize},
    Entry{"/detokenize", "POST", Route::kDetokenize}, Entry{"/trim", "POST", Route::kTrim},
    Entry{"/debug/fill", "POST", Route::kFill},
};

const Entry* find_route(const http::Request& request) {
  const std::string_view path = std::string_view(request.target).substr(0, request.target.find('?'));
  const auto it =
      std::find_if(kRoutes.begin(), kRoutes.end(), [&](const Entry& e) { return e.path == path; });
  return it == kRoutes.end() ? nullptr : &*it;
}

// A large request takes its time. Afterwards its memory goes back to the system: what is measured stays what
// was planned.
constexpr size_t kLargeBody = size_t{1} << 20;

}  // namespace

http::ServerOptions Service::server_options() {
  http::ServerOptions options;
  options.max_connections = 1024;  // the only client is a server or a command line of the same user
  return options;
}

Service::Service(LoadedModel& model)
    : model_(model), templates_(model.tokenizer()), queue_(std::make_shared<WorkQueue>()) {}

Result<std::unique_ptr<Service>> Service::start(LoadedModel& model, const std::string& socket_path,
                                                const http::ServerOptions& options) {
  std::unique_ptr<Service> service(new Service(model));
  http::Endpoint endpoint;
  endpoint.path = socket_path;
  QUIPU_ASSIGN(service->server_, http::Server::listen(endpoint, options,
                                                      [s = service.get()](std::shared_ptr<http::Exchange> x) {
                                                        s->take(std::move(x));
                                                      }));
  return service;
}

Service::~Service() {
  server_.reset();
  queue_->stop();
}

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
  queue_->post([this, exchange = std::move(exchange),
                received = std::chrono::steady_clock::now()](WorkQueue::Place& place) {
    Patience patience([&place] { place.give_up(); }, [&exchange] { return exchange->gone(); });
    const size_t size = exchange->request().body.size();
    if (size > kLargeBody) patience.takes_long();
    try {
      work({exchange, received, patience});
    } catch (const std::exception& e) {  // no memory for a body's values; nothing else is meant to throw
      respond_error(*exchange, Error{Code::kInternal, fmt::format("the request failed: {}", e.what()), {}});
    }
    if (size > kLargeBody) malloc_trim(0);
  });
}

void Service::work(const Call& call) {
  if (call.patience.gone()) return;
  const Result<Json> result = answer(call);
  if (!result)
    respond_error(*call.exchange, result.error());
  else if (!result->is_null())
    respond(*call.exchange, 200, *result);
}

Result<Json> Service::answer(const Call& call) {
  const http::Request& request = call.exchange->request();
  const Route route = find_route(request)->route;
  if (route == Route::kInfo) return model_.info();
  if (route == Route::kMemory) {
    Json out = model_.memory();
    const Engine::Counters n = model_.engine().counters();
    out["engine"] = {{"running", n.running},
                     {"waiting", n.waiting},
                     {"preemptions", n.preemptions},
                     {"evicted_blocks", n.evicted_blocks},
                     {"num_ctx", last_context_.load()}};
    return out;
  }
  if (route == Route::kTrim) return trim();
  QUIPU_ASSIGN(const Json body, parse_body(request.body));
  switch (route) {
    case Route::kTokenize:
      return tokenize(body);
    case Route::kDetokenize:
      return detokenize(body);
    case Route::kFill:
      return fill(body);
    case Route::kEmbed:
      return embed(body, call);
    default:
      return generate(body, call);
  }
}

Result<Json> Service::tokenize(const Json& body) {
  QUIPU_ASSIGN(const Tokenizer* tokenizer, model_.need_tokenizer());
  QUIPU_ASSIGN(const std::string text, text_field(body, "text"));
  QUIPU_ASSIGN(const bool add_special, flag_field(body, "add_special", true));
  QUIPU_ASSIGN(const bool parse_special, flag_field(body, "parse_special", true));
  return Json{{"tokens", tokenizer->encode(text, add_special, parse_special)}};
}

Result<Json> Service::detokenize(const Json& body) {
  QUIPU_ASSIGN(const Tokenizer* tokenizer, model_.need_tokenizer());
  if (field(body, "tokens").is_null())
    return error(Code::kInvalidArgument, "\"tokens\" must be an array of token ids");
  QUIPU_ASSIGN(const std::vector<Token> ids, tokens_field(body, "tokens", tokenizer->size()));
  return Json{{"text", tokenizer->decode(ids, false, true)}};
}

Result<Json> Service::trim() {
  QUIPU_TRY(model_.engine().fill(0, 1));
  return model_.memory();
}

Result<Json> Service::fill(const Json& body) {
  const EngineOptions& engine = model_.engine().options();
  if (!body.contains("tokens")) return error(Code::kInvalidArgument, "\"tokens\" is missing");
  QUIPU_ASSIGN(const int64_t tokens, integer_field(body, "tokens", 0, 0, engine.n_ctx));
  QUIPU_ASSIGN(const int64_t sequences, integer_field(body, "sequences", 1, 1, engine.n_parallel));
  QUIPU_TRY(model_.engine().fill(tokens, sequences));
  return model_.memory();
}

// Its plan and table come with it.
Json Service::refuse(const Call& call, const LoadFailure& failure) {
  Json body = error_json(failure.error);
  body["plan"] = failure.plan;
  body["table"] = failure.table;
  respond(*call.exchange, error_status(failure.error.code), body);
  return Json();
}

Result<Json> Service::generate(const Json& body, const Call& call) {
  const int64_t n_vocab = model_.model().n_vocab(), trained = model_.model().n_ctx_train();
  const int64_t longest = std::max(trained, model_.engine().options().n_ctx);
  QUIPU_ASSIGN(GenerateCall asked, read_generate(body, n_vocab, unknown_options_));
  GenerateOptions& options = asked.options;
  options.since = call.received;
  const int64_t asked_context = options.n_ctx;  // has to fit; of a default its prompt alone
  if (asked_context == 0)
    options.n_ctx = model_.default_context(options.kv_types, std::min(asked.default_n_ctx, longest));
  if (options.n_ctx > longest)
    return error(Code::kInvalidArgument, "num_ctx {} is more than the {} tokens this model was trained for",
                 options.n_ctx, trained);
  if (asked.render_only) {
    QUIPU_ASSIGN(const Prompt p, render_prompt(model_, templates_, asked.prompt, options, call.patience));
    return Json{
        {"prompt", p.text}, {"prompt_tokens", p.tokens.size()}, {"dropped_messages", p.dropped_messages}};
  }
  if (const auto room = model_.check_room(options.kv_types, std::max<int64_t>(asked_context, 1)); !room)
    return refuse(call, room.error());
  QUIPU_ASSIGN(Prompt prompt, make_prompt(model_, templates_, asked.prompt, options, call.patience));
  const auto n_tokens = static_cast<int64_t>(prompt.tokens.size());
  if (const auto room = model_.check_room(options.kv_types, std::max(asked_context, n_tokens + 1)); !room)
    return refuse(call, room.error());
  last_context_ = options.n_ctx;
  QUIPU_TRY(AnswerStream::start({model_, queue_, call.exchange, call.received, asked.return_context},
                                std::move(prompt), std::move(options)));
  return Json();
}

Result<Json> Service::embed(const Json& body, const Call& call) {
  QUIPU_ASSIGN(EmbedInputs inputs, read_embed_inputs(model_, body, call.patience));
  inputs.since = call.received;
  size_t longest = 0;
  for (const auto& tokens : inputs.tokens) longest = std::max(longest, tokens.size());
  if (const auto room = model_.check_room({}, static_cast<int64_t>(longest)); !room)
    return refuse(call, room.error());
  last_context_ = inputs.n_ctx;
  QUIPU_TRY(start_embedding(model_, queue_, call.exchange, std::move(inputs)));
  return Json();
}

}  // namespace quipu::runner
