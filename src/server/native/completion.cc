// /api/generate and /api/chat. Spec: ollama-compat 1.4 to 1.7.
#include <algorithm>

#include "base/log.h"
#include "server/native/answer.h"
#include "server/native/handlers.h"
#include "server/native/messages.h"
#include "server/native/prepare.h"
#include "server/request_body.h"
#include "server/service.h"

namespace quipu::server::native {

namespace {

// What the two have in common.
struct Common {
  std::string model;
  bool stream = true, truncate = true, logprobs = false, render_only = false;
  std::optional<bool> shift;
  int64_t top_logprobs = 0;
  const Json* options = nullptr;
  const Json* format = nullptr;
  KeepAlive keep_alive;
  Json think;  // null: not given
};

Result<Common> read_common(const Fields& f) {
  Common c;
  QUIPU_ASSIGN(c.model, f.text("model"));
  QUIPU_ASSIGN(c.stream, f.flag("stream", true));
  QUIPU_ASSIGN(c.truncate, f.flag("truncate", true));
  QUIPU_ASSIGN(c.shift, f.flag("shift"));
  QUIPU_ASSIGN(c.logprobs, f.flag("logprobs", false));
  QUIPU_ASSIGN(c.top_logprobs, f.integer("top_logprobs", 0));
  QUIPU_ASSIGN(c.render_only, f.flag("_debug_render_only", false));
  QUIPU_ASSIGN(c.options, f.object("options", "map[string]interface {}"));
  QUIPU_ASSIGN(c.keep_alive, parse_keep_alive(f.find("keep_alive")));
  QUIPU_ASSIGN(c.think, parse_think(f.find("think")));
  c.format = f.find("format");
  if (c.top_logprobs < 0 || c.top_logprobs > 20)
    return error(Code::kInvalidArgument, "top_logprobs must be between 0 and 20");
  return c;
}

bool unloads(const Common& c) { return c.keep_alive && c.keep_alive->count() == 0; }

bool has(const store::ModelInfo& model, std::string_view capability) { return model.can(capability); }

bool has_images(const Json& messages) {
  return std::any_of(messages.begin(), messages.end(), [](const Json& m) { return m.contains("images"); });
}

// 1.3.3: what a template is told, and whether the model can do it at all.
Checked<Json> thinking(const Common& c, const store::ModelInfo& model) {
  if (has(model, "thinking")) return c.think.is_null() ? Json(true) : c.think;
  if (!c.think.is_null() && c.think != Json(false))
    return refuse(400, fmt::format("\"{}\" does not support thinking", c.model));
  return c.think;
}

// What Ollama finds out when the answer has begun: last of all, and as the stream's one object.
std::unexpected<Refusal> refuse_in_answer(const Common& c, int status, std::string sentence) {
  return std::unexpected(Refusal{status, std::move(sentence),
                                 c.stream ? "application/json" : "application/json; charset=utf-8"});
}

Checked<Json> format_of(const Common& c) {
  if (c.format == nullptr || c.format->is_null() || *c.format == Json("")) return Json();
  if (c.render_only) return Json();  // it is no part of the prompt
  if (*c.format == Json("json") || c.format->is_object()) return *c.format;
  std::string shown = go_json(*c.format), quoted;
  append_go_json_string(quoted, shown);
  return refuse_in_answer(
      c, 500, fmt::format("invalid format: {}; expected \"json\" or a valid JSON Schema object", quoted));
}

Checked<bool> check_images(const Common& c, const store::ModelInfo& model, bool any) {
  if (any && !has(model, "vision"))
    return refuse_in_answer(c, 400, "this model does not support images: it has no vision");
  return true;
}

// The body for the runner, but for the prompt or the messages.
Json runner_body(const Common& c, const Options& options, const store::ModelInfo& model) {
  Json body = {{"options", options.values}, {"truncate", c.truncate}};
  set_default_context(body, options);
  body["shift"] = c.shift.value_or(model.config.model_family != "deepseek2");
  if (c.logprobs) body["logprobs"] = true;
  if (c.logprobs && c.top_logprobs > 0) body["top_logprobs"] = c.top_logprobs;
  if (c.render_only) body["render_only"] = true;
  return body;
}

void expire(Service& service, const Info& model, const ReplyPtr& reply, Answer::Form form, const Common& c) {
  service.fleet().expire(model->model_path);
  Answer(reply, form, c.model, c.stream).without_words("unload");
}

void run(Service& service, const ReplyPtr& reply, Answer::Form form, const Common& c, const Info& model,
         const Options& options, Json body) {
  auto answer = std::make_shared<Answer>(reply, form, c.model, c.stream);
  answer->count_in(service.metrics().model(service.shown_name(*model)));
  run_job(
      service, reply, model, c.keep_alive, options, c.render_only,
      [reply, answer, options, body = std::move(body), render_only = c.render_only,
       stream = c.stream](fleet::Lease& lease) mutable {
        const int64_t load_ns = reply->elapsed_ns();
        set_time_left(body["options"], options, *reply);
        if (render_only) {
          const auto rendered = lease.runner().render(body);
          if (!rendered) return answer_failure(*reply, rendered.error());
          return answer->rendered(rendered->value("prompt", ""));
        }
        const auto last = lease.runner().generate(body, [&](const Json& line) { return answer->take(line); });
        // Ollama renders the prompt before its answer begins; what fails later is in the stream.
        if (!last) return answer_failure(*reply, last.error(), stream && last.error().code != Code::kCorrupt);
        answer->done(*last, load_ns);
      },
      [answer] { answer->done({{"reason", "length"}, {"stop", "time"}}, 0); });
}

void load_only(Service& service, const ReplyPtr& reply, Answer::Form form, const Common& c, const Info& model,
               const Options& options) {
  run_job(service, reply, model, c.keep_alive, options, true,
          [reply, form, c = c.model, stream = c.stream](fleet::Lease&) {
            Answer(reply, form, c, stream).without_words("load");
          });
}

}  // namespace

void generate(Service& service, const ReplyPtr& reply, Parameter) {
  const auto refused = [&](const Refusal& r) { return native::answer(*reply, r); };
  const auto body = parse_object(reply->request().body, "GenerateRequest");
  if (!body) return reply->error(400, body.error().message);
  const Fields f(*body, "GenerateRequest");
  const auto read = [&]() -> Result<std::pair<Common, GenerateInput>> {
    QUIPU_ASSIGN(auto common, read_common(f));
    QUIPU_ASSIGN(auto input, read_generate_input(f));
    return std::pair(std::move(common), std::move(input));
  }();
  if (!read) return reply->error(400, read.error().message);
  const auto& [c, in] = *read;

  const auto model = find_model(service, c.model, {.empty_status = 404, .empty = "model '' not found"});
  if (!model) return refused(model.error());
  const bool blank = in.prompt.empty();
  if (blank && unloads(c)) return expire(service, *model, reply, Answer::Form::kGenerate, c);
  if (in.raw && (!in.template_text.empty() || !in.system.empty() || !in.context.empty()))
    return reply->error(400, "raw mode does not support template, system, or context");
  const auto think = thinking(c, **model);
  if (!think) return refused(think.error());
  if (!has(**model, "completion"))
    return reply->error(400, fmt::format("\"{}\" does not support generate", c.model));
  if (!in.suffix.empty() && !has(**model, "insert"))
    return reply->error(400, fmt::format("{} does not support insert", (*model)->name.full_name()));
  const auto options = merge_options(service, **model, c.options);
  if (!options) return refused(options.error());
  if (blank) return load_only(service, reply, Answer::Form::kGenerate, c, *model, *options);
  if (const auto good = check_images(c, **model, !in.images.empty()); !good) return refused(good.error());
  const auto format = format_of(c);
  if (!format) return refused(format.error());

  Json out = runner_body(c, *options, **model);
  if (!format->is_null()) out["format"] = *format;
  if (!think->is_null()) out["think"] = *think;
  add_prompt(out, in, **model);
  run(service, reply, Answer::Form::kGenerate, c, *model, *options, std::move(out));
}

void chat(Service& service, const ReplyPtr& reply, Parameter) {
  const auto refused = [&](const Refusal& r) { return native::answer(*reply, r); };
  const auto body = parse_object(reply->request().body, "ChatRequest");
  if (!body) return reply->error(400, body.error().message);
  const Fields f(*body, "ChatRequest");
  const auto read = [&]() -> Result<std::pair<Common, ChatInput>> {
    QUIPU_ASSIGN(auto common, read_common(f));
    QUIPU_ASSIGN(auto input, read_chat_input(f));
    return std::pair(std::move(common), std::move(input));
  }();
  if (!read) return reply->error(400, read.error().message);
  const auto& [c, in] = *read;

  const auto model = find_model(service, c.model, {});
  if (!model) return refused(model.error());
  if (in.messages.empty() && unloads(c)) return expire(service, *model, reply, Answer::Form::kChat, c);
  if (!has(**model, "completion"))
    return reply->error(400, fmt::format("\"{}\" does not support chat", c.model));
  if (!in.tools.empty() && !has(**model, "tools"))
    return reply->error(400, fmt::format("{} does not support tools", (*model)->name.full_name()));
  const auto think = thinking(c, **model);
  if (!think) return refused(think.error());
  const auto options = merge_options(service, **model, c.options);
  if (!options) return refused(options.error());
  if (in.messages.empty()) return load_only(service, reply, Answer::Form::kChat, c, *model, *options);
  if (const auto good = check_images(c, **model, has_images(in.messages)); !good)
    return refused(good.error());
  const auto format = format_of(c);
  if (!format) return refused(format.error());

  Json out = runner_body(c, *options, **model);
  if (!format->is_null()) out["format"] = *format;
  if (!think->is_null()) out["think"] = *think;
  add_messages(out, in, **model);
  run(service, reply, Answer::Form::kChat, c, *model, *options, std::move(out));
}

}  // namespace quipu::server::native
