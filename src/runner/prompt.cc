#include "runner/prompt.h"

#include <algorithm>
#include <ctime>

#include "chat/chat_template.h"

namespace quipu::runner {

namespace {

using Json = nlohmann::json;

Result<std::string> text_field(const Json& o, const char* name) {
  const auto it = o.find(name);
  if (it == o.end() || it->is_null()) return std::string();
  if (!it->is_string()) return error(Code::kInvalidArgument, "\"{}\" must be a string", name);
  return it->get<std::string>();
}

bool flag(const Json& o, const char* name, bool fallback) {
  const auto it = o.find(name);
  return it != o.end() && it->is_boolean() ? it->get<bool>() : fallback;
}

Result<std::vector<Message>> read_messages(const Json& body) {
  std::vector<Message> messages;
  if (const auto it = body.find("messages"); it != body.end() && !it->is_null()) {
    if (!it->is_array()) return error(Code::kInvalidArgument, "\"messages\" must be an array");
    for (const Json& m : *it) {
      if (!m.is_object()) return error(Code::kInvalidArgument, "a message must be an object with role and content");
      Message out;
      QUIPU_ASSIGN(out.role, text_field(m, "role"));
      QUIPU_ASSIGN(out.content, text_field(m, "content"));
      if (out.role.empty()) return error(Code::kInvalidArgument, "a message needs a role");
      messages.push_back(std::move(out));
    }
    if (messages.empty()) return error(Code::kInvalidArgument, "\"messages\" is empty");
    return messages;
  }
  QUIPU_ASSIGN(const std::string system, text_field(body, "system"));
  QUIPU_ASSIGN(const std::string prompt, text_field(body, "prompt"));
  if (!system.empty()) messages.push_back({"system", system});
  messages.push_back({"user", prompt});
  return messages;
}

Result<ChatTemplate> pick_template(const LoadedModel& model, const Json& body) {
  QUIPU_ASSIGN(std::string source, text_field(body, "template"));
  if (source.empty()) {
    QUIPU_ASSIGN(const auto own, model.file().string("tokenizer.chat_template"));
    if (own) source = std::string(*own);
  }
  const auto text_of = [&](std::optional<Token> id) {
    return id && model.tokenizer() != nullptr ? std::string(model.tokenizer()->text(*id)) : std::string();
  };
  const SpecialTokens& special = model.tokenizer()->special();
  return ChatTemplate::create(source, text_of(special.bos), text_of(special.eos));
}

// A template that writes BOS itself must not get a second one.
std::vector<Token> encode_rendered(const Tokenizer& tok, const std::string& text) {
  std::vector<Token> ids = tok.encode(text, true, true);
  const SpecialTokens& s = tok.special();
  if (s.add_bos && s.bos && ids.size() > 1 && ids[0] == *s.bos && ids[1] == *s.bos) ids.erase(ids.begin());
  return ids;
}

// What is left of a prompt that is too long: the first num_keep tokens and the last ones, with room for an answer.
void truncate(Prompt& p, int64_t n_ctx, int64_t num_keep, bool add_bos) {
  const auto n = static_cast<int64_t>(p.tokens.size());
  const int64_t keep = std::clamp<int64_t>(num_keep < 0 ? n : num_keep + (add_bos ? 1 : 0), 0, n_ctx - 1);
  const int64_t target = std::max<int64_t>(n_ctx - std::max<int64_t>((n_ctx - keep) / 2, 1), keep);
  const int64_t drop = n - std::max<int64_t>(target, 1);
  if (drop <= 0) return;
  p.tokens.erase(p.tokens.begin() + keep, p.tokens.begin() + std::min(keep + drop, n));
  p.dropped_tokens += drop;
}

}  // namespace

Result<Prompt> make_prompt(const LoadedModel& model, const Json& body, const GenerateOptions& options) {
  QUIPU_ASSIGN(const Tokenizer* tok, model.need_tokenizer());
  const int64_t n_ctx = options.n_ctx > 0 ? options.n_ctx : model.planned().options.n_ctx;
  Prompt p;
  if (flag(body, "raw", false)) {
    QUIPU_ASSIGN(const std::string text, text_field(body, "prompt"));
    p.tokens = tok->encode(text, true, true);
  } else {
    QUIPU_ASSIGN(std::vector<Message> messages, read_messages(body));
    QUIPU_ASSIGN(const ChatTemplate chat, pick_template(model, body));
    const auto now = static_cast<int64_t>(std::time(nullptr));
    while (true) {
      QUIPU_ASSIGN(const std::string text, chat.render(messages, {.add_generation_prompt = true, .now_unix = now}));
      p.tokens = encode_rendered(*tok, text);
      if (static_cast<int64_t>(p.tokens.size()) < n_ctx) break;
      // Let the oldest message go that is neither a system message nor the last.
      const auto oldest = std::find_if(messages.begin(), messages.end() - 1, [](const Message& m) { return m.role != "system"; });
      if (oldest == messages.end() - 1) break;
      messages.erase(oldest);
      ++p.dropped_messages;
      // An answer whose question is gone says nothing: it goes with it.
      const auto next = std::find_if(messages.begin(), messages.end() - 1, [](const Message& m) { return m.role != "system"; });
      if (next != messages.end() - 1 && next->role == "assistant") {
        messages.erase(next);
        ++p.dropped_messages;
      }
    }
  }
  if (p.tokens.empty()) return error(Code::kInvalidArgument, "the prompt is empty");
  const auto n = static_cast<int64_t>(p.tokens.size());
  if (n < n_ctx) return p;
  if (!flag(body, "truncate", true) || !flag(body, "shift", true))
    return error(Code::kInvalidArgument,
                 "the prompt has {} tokens, but num_ctx is {}: at most {} fit; shorten it or raise num_ctx", n, n_ctx,
                 n_ctx - 1);
  truncate(p, n_ctx, options.num_keep, tok->special().add_bos);
  return p;
}

}  // namespace quipu::runner
