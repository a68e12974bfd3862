#include "runner/prompt.h"

#include <algorithm>
#include <ctime>
#include <iterator>

#include "chat/chat_template.h"
#include "runner/json_body.h"

namespace quipu::runner {

namespace {

using Json = nlohmann::json;

Result<std::vector<Message>> read_messages(const Json& body) {
  std::vector<Message> messages;
  if (const auto it = body.find("messages"); it != body.end() && !it->is_null()) {
    if (!it->is_array()) return error(Code::kInvalidArgument, "\"messages\" must be an array");
    for (const Json& m : *it) {
      if (!m.is_object())
        return error(Code::kInvalidArgument, "a message must be an object with role and content");
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

Result<ChatTemplate> pick_template(const LoadedModel& model, const Tokenizer& tokenizer, const Json& body) {
  QUIPU_ASSIGN(std::string source, text_field(body, "template"));
  if (source.empty()) {
    QUIPU_ASSIGN(const auto own, model.file().string("tokenizer.chat_template"));
    if (own) source = std::string(*own);
  }
  const auto text_of = [&](std::optional<Token> id) {
    return id ? std::string(tokenizer.text(*id)) : std::string();
  };
  const SpecialTokens& special = tokenizer.special();
  return ChatTemplate::create(source, text_of(special.bos), text_of(special.eos));
}

// A template that writes BOS itself must not get a second one.
std::vector<Token> encode_rendered(const Tokenizer& tok, const std::string& text) {
  std::vector<Token> ids = tok.encode(text, true, true);
  const SpecialTokens& s = tok.special();
  if (s.add_bos && s.bos && ids.size() > 1 && ids[0] == *s.bos && ids[1] == *s.bos) ids.erase(ids.begin());
  return ids;
}

// What is left of a prompt that is too long: the first num_keep tokens and the last ones, with room for an
// answer.
void truncate(Prompt& p, int64_t n_ctx, int64_t num_keep, bool add_bos) {
  const auto n = static_cast<int64_t>(p.tokens.size());
  const int64_t keep = std::clamp<int64_t>(num_keep < 0 ? n : num_keep + (add_bos ? 1 : 0), 0, n_ctx - 1);
  const int64_t target = std::max<int64_t>(n_ctx - std::max<int64_t>((n_ctx - keep) / 2, 1), keep);
  const int64_t drop = n - std::max<int64_t>(target, 1);
  if (drop <= 0) return;
  p.tokens.erase(p.tokens.begin() + keep, p.tokens.begin() + std::min(keep + drop, n));
  p.dropped_tokens += drop;
}

// The messages that stay when the oldest `n` go: the system messages among them, and all the later ones.
// Where messages go, they go whole, oldest first.
std::vector<Message> without_oldest(const std::vector<Message>& all, size_t n) {
  std::vector<Message> kept;
  std::copy_if(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(n), std::back_inserter(kept),
               [](const Message& m) { return m.role == "system"; });
  kept.insert(kept.end(), all.begin() + static_cast<std::ptrdiff_t>(n), all.end());
  return kept;
}

// Finds the longest part of a conversation that fits. A rendering is costly where the conversation is long,
// so the number of messages that have to go is found by halving.
class Fitter {
 public:
  Fitter(const Tokenizer& tokenizer, const ChatTemplate& chat, const std::vector<Message>& messages,
         int64_t n_ctx)
      : tokenizer_(tokenizer), chat_(chat), messages_(messages), n_ctx_(n_ctx), now_(std::time(nullptr)) {}

  Result<Prompt> fit() {
    QUIPU_ASSIGN(Candidate best, render(0));
    if (!best.fits) {
      size_t low = 1, high = messages_.size() - 1;  // the last message stays, whatever its length
      if (low > high) return finish(std::move(best));
      QUIPU_ASSIGN(best, renderable_from(high));
      while (low < high) {
        const size_t middle = low + (high - low) / 2;
        auto candidate = renderable_from(middle);
        if (candidate && candidate->fits) {
          high = middle;
          best = std::move(*candidate);
        } else {
          low = middle + 1;
        }
      }
    }
    return finish(std::move(best));
  }

 private:
  struct Candidate {
    size_t n_gone = 0;
    bool fits = false;
    std::vector<Token> tokens;
  };

  Result<Candidate> render(size_t n_gone) const {
    QUIPU_ASSIGN(const std::string text, chat_.render(without_oldest(messages_, n_gone),
                                                      {.add_generation_prompt = true, .now_unix = now_}));
    Candidate c{n_gone, false, encode_rendered(tokenizer_, text)};
    c.fits = static_cast<int64_t>(c.tokens.size()) < n_ctx_;
    return c;
  }

  // The first part from `n_gone` on that the template accepts: many want questions and answers in turn, and
  // refuse a conversation that begins with an answer.
  Result<Candidate> renderable_from(size_t n_gone) const {
    while (true) {
      Result<Candidate> c = render(n_gone);
      if (c || n_gone + 1 >= messages_.size()) return c;
      ++n_gone;
    }
  }

  Result<Prompt> finish(Candidate c) const {
    Prompt p;
    p.tokens = std::move(c.tokens);
    p.dropped_messages =
        std::count_if(messages_.begin(), messages_.begin() + static_cast<std::ptrdiff_t>(c.n_gone),
                      [](const Message& m) { return m.role != "system"; });
    return p;
  }

  const Tokenizer& tokenizer_;
  const ChatTemplate& chat_;
  const std::vector<Message>& messages_;
  const int64_t n_ctx_, now_;
};

}  // namespace

Result<Prompt> make_prompt(const LoadedModel& model, const Json& body, const GenerateOptions& options) {
  QUIPU_ASSIGN(const Tokenizer* tok, model.need_tokenizer());
  QUIPU_ASSIGN(const bool raw, flag_field(body, "raw", false));
  QUIPU_ASSIGN(const bool may_truncate, flag_field(body, "truncate", true));
  const int64_t n_ctx = options.n_ctx > 0 ? options.n_ctx : model.planned().options.n_ctx;
  Prompt p;
  if (raw) {
    QUIPU_ASSIGN(const std::string text, text_field(body, "prompt"));
    p.tokens = tok->encode(text, true, true);
  } else {
    QUIPU_ASSIGN(const std::vector<Message> messages, read_messages(body));
    QUIPU_ASSIGN(const ChatTemplate chat, pick_template(model, *tok, body));
    QUIPU_ASSIGN(p, Fitter(*tok, chat, messages, n_ctx).fit());
  }
  if (p.tokens.empty()) return error(Code::kInvalidArgument, "the prompt is empty");
  const auto n = static_cast<int64_t>(p.tokens.size());
  if (n < n_ctx) return p;
  if (!may_truncate || !options.shift)
    return error(Code::kInvalidArgument,
                 "the prompt has {} tokens, but num_ctx is {}: at most {} fit; shorten it or raise num_ctx",
                 n, n_ctx, n_ctx - 1);
  truncate(p, n_ctx, options.num_keep, tok->special().add_bos);
  return p;
}

}  // namespace quipu::runner
