// /api/embed and /api/embeddings; tokens of a text and back. Spec: ollama-compat 1.8, 1.9;
// quipu-extensions 8.
#include "server/native/answer.h"
#include "server/native/handlers.h"
#include "server/native/prepare.h"
#include "server/request_body.h"
#include "server/service.h"

namespace quipu::server::native {

namespace {

const NameErrors kEmbedNames = {.empty_status = 404,
                                .empty = "model '' not found",
                                .missing = "model \"{}\" not found, try pulling it first"};
const NameErrors kOldNames = {.empty_status = 400,
                              .empty = "model is required",
                              .missing = "model \"{}\" not found, try pulling it first"};

struct EmbedInput {
  std::string model;
  Json texts = Json::array();
  bool truncate = true;
  int64_t dimensions = 0;
  const Json* options = nullptr;
  KeepAlive keep_alive;
};

Result<EmbedInput> read_embed(const Fields& f) {
  EmbedInput in;
  QUIPU_ASSIGN(in.model, f.text("model"));
  QUIPU_ASSIGN(in.truncate, f.flag("truncate", true));
  QUIPU_ASSIGN(in.dimensions, f.integer("dimensions", 0));
  QUIPU_ASSIGN(in.options, f.object("options", "map[string]interface {}"));
  QUIPU_ASSIGN(in.keep_alive, parse_keep_alive(f.find("keep_alive")));
  const auto wrong = [] { return error(Code::kInvalidArgument, "invalid input type"); };
  if (const Json* input = f.find("input")) {
    if (input->is_string()) {
      if (!input->get_ref<const std::string&>().empty()) in.texts.push_back(*input);
    } else if (input->is_array()) {
      for (const Json& text : *input) {
        if (!text.is_string()) return wrong();
        in.texts.push_back(text);
      }
    } else {
      return wrong();
    }
  }
  return in;
}

// The runner's body for these texts; num_ctx as the options have it.
Json embed_body(const Json& texts, bool truncate, bool normalise, const Options& options) {
  Json body = {{"input", texts}, {"truncate", truncate}, {"normalise", normalise}};
  if (options.num_ctx > 0 && !options.num_ctx_is_default) body["num_ctx"] = options.num_ctx;
  set_default_context(body, options);
  return body;
}

}  // namespace

void embed(Service& service, const ReplyPtr& reply, Parameter) {
  const auto body = parse_object(reply->request().body, "EmbedRequest");
  if (!body) return reply->error(400, body.error().message);
  const auto in = read_embed(Fields(*body, "EmbedRequest"));
  if (!in) return reply->error(400, in.error().message);
  const auto model = find_model(service, in->model, kEmbedNames);
  if (!model) return answer(*reply, model.error());
  const auto options = merge_options(service, **model, in->options);
  if (!options) return answer(*reply, options.error());

  Json request = embed_body(in->texts, in->truncate, true, *options);
  if (in->dimensions > 0) request["dimensions"] = in->dimensions;
  run_job(
      service, reply, *model, in->keep_alive, *options, in->texts.empty(),
      [reply, name = in->model, options = *options, request = std::move(request),
       count = service.metrics().model(service.shown_name(**model))](fleet::Lease& lease) mutable {
        const int64_t load_ns = reply->elapsed_ns();
        set_time_left(request, options, *reply);
        Json out = {{"model", name}, {"embeddings", Json::array()}};
        if (request["input"].empty()) return reply->json(200, out);
        auto result = lease.runner().embed(request);
        if (!result) return answer_failure(*reply, result.error());
        out["embeddings"] = std::move((*result)["embeddings"]);
        out["total_duration"] = reply->elapsed_ns();
        out["load_duration"] = load_ns;
        out["prompt_eval_count"] = result->value("prompt_tokens", int64_t{0});
        count->prompt_tokens_new.Increment(static_cast<double>(result->value("prompt_tokens", int64_t{0})));
        reply->note(fmt::format("model={} inputs={} prompt_tokens={}", name, request["input"].size(),
                                result->value("prompt_tokens", int64_t{0})));
        reply->json(200, out);
      });
}

void embeddings(Service& service, const ReplyPtr& reply, Parameter) {
  const auto body = parse_object(reply->request().body, "EmbeddingRequest");
  if (!body) return reply->error(400, body.error().message);
  const Fields f(*body, "EmbeddingRequest");
  struct Input {
    std::string model, prompt;
    const Json* options = nullptr;
    KeepAlive keep_alive;
  };
  const auto in = [&]() -> Result<Input> {
    Input i;
    QUIPU_ASSIGN(i.model, f.text("model"));
    QUIPU_ASSIGN(i.prompt, f.text("prompt"));
    QUIPU_ASSIGN(i.options, f.object("options", "map[string]interface {}"));
    QUIPU_ASSIGN(i.keep_alive, parse_keep_alive(f.find("keep_alive")));
    return i;
  }();
  if (!in) return reply->error(400, in.error().message);
  const auto model = find_model(service, in->model, kOldNames);
  if (!model) return answer(*reply, model.error());
  const auto options = merge_options(service, **model, in->options);
  if (!options) return answer(*reply, options.error());

  Json request = embed_body(Json::array({in->prompt}), true, false, *options);
  run_job(service, reply, *model, in->keep_alive, *options, in->prompt.empty(),
          [reply, empty = in->prompt.empty(), options = *options,
           request = std::move(request)](fleet::Lease& lease) mutable {
            if (empty) return reply->json(200, {{"embedding", Json::array()}});
            set_time_left(request, options, *reply);
            auto result = lease.runner().embed(request);
            if (!result) return answer_failure(*reply, result.error());
            reply->json(200, {{"embedding", std::move((*result)["embeddings"][0])}});
          });
}

void tokenize(Service& service, const ReplyPtr& reply, Parameter) {
  const auto body = parse_object(reply->request().body, "TokenizeRequest");
  if (!body) return reply->error(400, body.error().message);
  const Fields f(*body, "TokenizeRequest");
  const auto name = f.text("model"), text = f.text("text");
  const auto add_special = f.flag("add_special", true);
  if (!name) return reply->error(400, name.error().message);
  if (!text) return reply->error(400, text.error().message);
  if (!add_special) return reply->error(400, add_special.error().message);
  const auto model = find_model(service, *name, {});
  if (!model) return answer(*reply, model.error());
  run_job(service, reply, *model, {}, {}, true,
          [reply, text = *text, special = *add_special](fleet::Lease& lease) {
            const auto tokens = lease.runner().tokenize(text, special);
            if (!tokens) return answer_failure(*reply, tokens.error());
            reply->json(200, {{"tokens", *tokens}});
          });
}

void detokenize(Service& service, const ReplyPtr& reply, Parameter) {
  const auto body = parse_object(reply->request().body, "DetokenizeRequest");
  if (!body) return reply->error(400, body.error().message);
  const Fields f(*body, "DetokenizeRequest");
  const auto name = f.text("model");
  if (!name) return reply->error(400, name.error().message);
  const auto list = f.array("tokens", "[]int");
  if (!list) return reply->error(400, list.error().message);
  std::vector<int64_t> tokens;
  if (*list != nullptr)
    for (const Json& id : **list) {
      if (!id.is_number_integer())
        return reply->error(400, f.wrong_type(id, "tokens", "int").error().message);
      tokens.push_back(id.get<int64_t>());
    }
  const auto model = find_model(service, *name, {});
  if (!model) return answer(*reply, model.error());
  run_job(service, reply, *model, {}, {}, true, [reply, tokens = std::move(tokens)](fleet::Lease& lease) {
    const auto text = lease.runner().detokenize(tokens);
    if (!text) return answer_failure(*reply, text.error());
    reply->json(200, {{"text", *text}});
  });
}

}  // namespace quipu::server::native
