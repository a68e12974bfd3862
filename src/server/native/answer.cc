#include "server/native/answer.h"

#include <algorithm>

#include "base/units.h"
#include "server/times.h"

namespace quipu::server::native {

namespace {

int64_t number(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_number() ? it->get<int64_t>() : 0;
}

void add_nonzero(Json& object, const char* key, int64_t value) {
  if (value != 0) object[key] = value;
}

std::string_view text_of(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? std::string_view(it->get_ref<const std::string&>()) : "";
}

}  // namespace

int status_of(Code code) {
  switch (code) {
    case Code::kInvalidArgument:
      return 400;
    case Code::kNotFound:
      return 404;
    case Code::kUnsupported:
      return 501;
    case Code::kOutOfMemory:
      return 507;
    case Code::kUnavailable:
      return 503;
    case Code::kCancelled:
      return kClientClosedRequest;
    default:
      return 500;
  }
}

Answer::Answer(ReplyPtr reply, Form form, std::string model, bool stream)
    : reply_(std::move(reply)), form_(form), model_(std::move(model)), stream_(stream) {}

Json Answer::object(std::string_view text, std::string_view thinking, bool done) const {
  Json out = {{"model", model_}, {"created_at", utc_time(now_unix_ns())}};
  if (form_ == Form::kChat) {
    Json message = {{"role", "assistant"}, {"content", text}};
    if (!thinking.empty()) message["thinking"] = thinking;
    out["message"] = std::move(message);
  } else {
    out["response"] = text;
    if (!thinking.empty()) out["thinking"] = thinking;
  }
  out["done"] = done;
  return out;
}

bool Answer::piece(std::string_view text, std::string_view thinking, Json logprobs) {
  if (!stream_) {
    text_ += text;
    thinking_ += thinking;
    for (Json& entry : logprobs) logprobs_.push_back(std::move(entry));
    return !reply_->gone();
  }
  if (text.empty() && thinking.empty() && logprobs.empty()) return !reply_->gone();
  Json out = object(text, thinking, false);
  if (!logprobs.empty()) out["logprobs"] = std::move(logprobs);
  return reply_->line(out);
}

bool Answer::take(const Json& line) {
  if (metrics_ != nullptr && line.contains("text")) {
    const auto seconds = [](Reply::Clock::duration d) { return std::chrono::duration<double>(d).count(); };
    const auto now = Reply::Clock::now();
    if (began_)
      metrics_->between_tokens_seconds.Observe(seconds(now - last_line_));
    else
      metrics_->first_token_seconds.Observe(seconds(now - reply_->received()));
    began_ = true;
    last_line_ = now;
  }
  const auto logprobs = line.find("logprobs");
  return piece(text_of(line, "text"), text_of(line, "thinking"),
               logprobs != line.end() && logprobs->is_array() ? *logprobs : Json::array());
}

void Answer::done(const Json& last, int64_t load_ns) {
  Json out = object(text_, thinking_, true);
  out["done_reason"] = last.value("reason", "stop");
  const auto add_metrics = [&] {
    add_nonzero(out, "total_duration", reply_->elapsed_ns());
    add_nonzero(out, "load_duration", load_ns);
    add_nonzero(out, "prompt_eval_count", number(last, "prompt_tokens"));
    add_nonzero(out, "prompt_eval_duration", number(last, "prompt_ns"));
    add_nonzero(out, "eval_count", number(last, "generated_tokens"));
    add_nonzero(out, "eval_duration", number(last, "generate_ns"));
  };
  if (form_ == Form::kGenerate) {
    if (const auto context = last.find("context"); context != last.end()) out["context"] = *context;
    add_metrics();
    if (!logprobs_.empty()) out["logprobs"] = std::move(logprobs_);
  } else {
    if (!logprobs_.empty()) out["logprobs"] = std::move(logprobs_);
    add_metrics();
  }
  Json ours = Json::object();
  for (const char* key : {"cached_tokens", "dropped_messages", "dropped_tokens", "context_shifts"})
    ours[key] = number(last, key);
  ours["stop"] = last.value("stop", "eos");
  ours["kv_bytes"] = number(last, "kv_bytes");
  ours["drafted_tokens"] = number(last, "drafted_tokens");
  ours["accepted_tokens"] = number(last, "accepted_tokens");
  out["quipu"] = std::move(ours);

  if (metrics_ != nullptr) {
    const int64_t prompt = number(last, "prompt_tokens"), cached = number(last, "cached_tokens");
    metrics_->prompt_tokens_cached.Increment(static_cast<double>(cached));
    metrics_->prompt_tokens_new.Increment(static_cast<double>(std::max<int64_t>(prompt - cached, 0)));
    metrics_->generated_tokens.Increment(static_cast<double>(number(last, "generated_tokens")));
  }
  reply_->note(fmt::format(
      "model={} prompt_tokens={} cached_tokens={} generated_tokens={} load={} prompt={} generate={} stop={}",
      model_, number(last, "prompt_tokens"), number(last, "cached_tokens"), number(last, "generated_tokens"),
      format_duration_ns(load_ns), format_duration_ns(number(last, "prompt_ns")),
      format_duration_ns(number(last, "generate_ns")), last.value("stop", "eos")));
  if (!stream_) return reply_->json(200, out);
  reply_->line(out);
  reply_->finish();
}

void Answer::without_words(const char* done_reason) {
  Json out = object("", "", true);
  out["done_reason"] = done_reason;
  reply_->json(200, out);
}

void Answer::rendered(const std::string& prompt) {
  Json out = {{"model", model_}, {"created_at", utc_time(now_unix_ns())}};
  if (form_ == Form::kChat)
    out["message"] = {{"role", ""}, {"content", ""}};
  else
    out["response"] = "";
  out["done"] = false;
  out["_debug_info"] = {{"rendered_template", prompt}};
  reply_->json(200, out);
}

}  // namespace quipu::server::native
