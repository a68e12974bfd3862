#include "runner/prompt.h"

#include <algorithm>
#include <ctime>
#include <iterator>

#include "base/checked.h"
#include "chat/go_chat.h"

namespace quipu::runner {

namespace {

// Text from here on takes its time to tokenise.
constexpr size_t kLongText = 1u << 20;
// Tokens of a prompt that is refused, counted for the error: a fraction of a second.
constexpr int64_t kMostCounted = 1 << 18;
// As Ollama says it; clients look for it.
constexpr const char* kNotShifted =
    "the prompt is longer than the context length currently available to the model; shorten the prompt, "
    "adjust the context length in settings, or use a model with a longer context length";

struct Rendered {
  std::string text;
  std::vector<Token> tokens;  // all of them, if `complete`
  bool complete = false;
  int64_t dropped_messages = 0;
  std::optional<ThinkingTags> thinking;
};

// A template that writes BOS itself must not get a second one.
std::vector<Token> encode_rendered(const Tokenizer& tok, const std::string& text, size_t most) {
  std::vector<Token> ids = tok.encode_start(text, true, true, most);
  const SpecialTokens& s = tok.special();
  if (s.add_bos && s.bos && ids.size() > 1 && ids[0] == *s.bos && ids[1] == *s.bos) ids.erase(ids.begin());
  return ids;
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

// A template of either kind at work for one request.
class TemplateRun {
 public:
  TemplateRun(const ParsedTemplate& chat, const GeneratePrompt& request, Patience& patience)
      : chat_(chat), request_(request), patience_(patience) {}

  Result<std::string> of_messages(std::span<const Message> messages) const {
    if (const auto* go = std::get_if<GoTemplate>(&chat_))
      return checked(render_go_chat(*go, {.messages = messages,
                                          .tools = tools(),
                                          .think = request_.think,
                                          .now_unix = now_,
                                          .stop = stop()}));
    return checked(std::get<ChatTemplate>(chat_).render(
        messages, {.now_unix = now_, .tools = tools(), .think = request_.think, .stop = stop()}));
  }

  // The text that a gap between prompt and suffix is to be filled in.
  Result<std::string> with_suffix() const {
    const auto* go = std::get_if<GoTemplate>(&chat_);
    if (go == nullptr)
      return error(Code::kUnsupported, "this chat template cannot put text in front of a suffix");
    return checked(render_go_chat(*go, {.think = request_.think,
                                        .prompt = request_.prompt,
                                        .suffix = request_.suffix,
                                        .now_unix = now_,
                                        .stop = stop()}));
  }

  std::optional<ThinkingTags> thinking() const {
    const auto* go = std::get_if<GoTemplate>(&chat_);
    if (go == nullptr || !go->has_thinking_tags() || !request_.think.on) return std::nullopt;
    return ThinkingTags{go->thinking_tags().open, go->thinking_tags().close};
  }

 private:
  const Json* tools() const { return request_.tools.is_null() ? nullptr : &request_.tools; }
  std::function<bool()> stop() const {
    return [this] { return patience_.over(); };
  }
  // What was stopped says why.
  Result<std::string> checked(Result<std::string> text) const {
    if (!text) QUIPU_TRY(patience_.check());
    return text;
  }

  const ParsedTemplate& chat_;
  const GeneratePrompt& request_;
  Patience& patience_;
  const int64_t now_ = std::time(nullptr);
};

// Finds the longest part of a conversation that fits. A rendering is costly where the conversation is long,
// so the number of messages that have to go is found by halving.
class Fitter {
 public:
  Fitter(const Tokenizer& tokenizer, const TemplateRun& run, const GeneratePrompt& request, int64_t n_ctx,
         Patience& patience)
      : tokenizer_(tokenizer), run_(run), messages_(request.messages), n_ctx_(n_ctx), patience_(patience) {
    if (!messages_.empty()) return;
    if (!request.system.empty()) messages_.push_back({.role = "system", .content = request.system});
    messages_.push_back({.role = "user", .content = request.prompt});
  }

  Result<Rendered> whole() {
    QUIPU_ASSIGN(Candidate all, render(0));
    return finish(std::move(all));
  }

  Result<Rendered> fitting() {
    QUIPU_ASSIGN(Candidate best, render(0));
    if (!best.fits) {
      size_t low = 1, high = messages_.size() - 1;  // the last message stays, whatever its length
      if (low > high) return finish(std::move(best));
      QUIPU_ASSIGN(best, renderable_from(high));
      while (low < high) {
        const size_t middle = low + (high - low) / 2;
        auto candidate = renderable_from(middle);
        QUIPU_TRY(patience_.check());
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
    std::string text;
    std::vector<Token> tokens;  // if it fits
  };

  Result<Candidate> render(size_t n_gone) {
    QUIPU_ASSIGN(std::string text, run_.of_messages(without_oldest(messages_, n_gone)));
    Candidate c{n_gone, false, std::move(text), {}};
    if (c.text.size() > kLongText) patience_.takes_long();
    c.tokens = encode_rendered(tokenizer_, c.text, static_cast<size_t>(n_ctx_));
    c.fits = static_cast<int64_t>(c.tokens.size()) < n_ctx_;
    return c;
  }

  // The first part from `n_gone` on that the template accepts: many want questions and answers in turn, and
  // refuse a conversation that begins with an answer.
  Result<Candidate> renderable_from(size_t n_gone) {
    while (true) {
      Result<Candidate> c = render(n_gone);
      if (c || n_gone + 1 >= messages_.size()) return c;
      QUIPU_TRY(patience_.check());
      ++n_gone;
    }
  }

  Result<Rendered> finish(Candidate c) const {
    const auto dropped =
        std::count_if(messages_.begin(), messages_.begin() + static_cast<std::ptrdiff_t>(c.n_gone),
                      [](const Message& m) { return m.role != "system"; });
    return Rendered{std::move(c.text), std::move(c.tokens), c.fits, dropped, {}};
  }

  const Tokenizer& tokenizer_;
  const TemplateRun& run_;
  std::vector<Message> messages_;
  const int64_t n_ctx_;
  Patience& patience_;
};

Result<Rendered> render(const LoadedModel& model, const Tokenizer& tok, TemplateCache& templates,
                        const GeneratePrompt& request, int64_t n_ctx, Patience& patience) {
  Rendered r;
  if (request.raw) {
    r.text = request.prompt;
    if (request.chat_template) {  // not for the prompt, but it says what thinking looks like
      QUIPU_ASSIGN(const auto chat, templates.get(*request.chat_template));
      r.thinking = TemplateRun(*chat, request, patience).thinking();
    }
  } else {
    TemplateText source;
    if (request.chat_template) {
      source = *request.chat_template;
    } else {
      QUIPU_ASSIGN(const auto own, model.file().string("tokenizer.chat_template"));
      source.text = own.value_or("");
    }
    QUIPU_ASSIGN(const auto chat, templates.get(source));
    const TemplateRun run(*chat, request, patience);
    if (!request.prompt.empty() && !request.suffix.empty()) {
      QUIPU_ASSIGN(r.text, run.with_suffix());
    } else {
      Fitter fitter(tok, run, request, n_ctx, patience);
      QUIPU_ASSIGN(r, request.drop_messages ? fitter.fitting() : fitter.whole());
    }
    r.thinking = run.thinking();
  }
  if (!request.context.empty()) {
    r.text.insert(0, tok.decode(request.context, false, true));
    r.complete = false;
  }
  if (r.text.size() > kLongText) patience.takes_long();
  return r;
}

std::vector<Token> encode(const Tokenizer& tok, const GeneratePrompt& request, Rendered& r, size_t most) {
  if (r.complete) return std::move(r.tokens);
  return request.raw ? tok.encode_start(r.text, true, true, most) : encode_rendered(tok, r.text, most);
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

int64_t context_of(const LoadedModel& model, const RunLimits& limits) {
  return limits.n_ctx > 0 ? limits.n_ctx : model.planned().options.n_ctx;
}

}  // namespace

Result<Prompt> render_prompt(const LoadedModel& model, TemplateCache& templates,
                             const GeneratePrompt& request, const RunLimits& limits, Patience& patience) {
  QUIPU_ASSIGN(const Tokenizer* tok, model.need_tokenizer());
  QUIPU_ASSIGN(Rendered r, render(model, *tok, templates, request, context_of(model, limits), patience));
  Prompt p;
  p.tokens = encode(*tok, request, r, SIZE_MAX);
  p.text = std::move(r.text);
  p.thinking = std::move(r.thinking);
  p.dropped_messages = r.dropped_messages;
  return p;
}

Result<Prompt> make_prompt(const LoadedModel& model, TemplateCache& templates, const GeneratePrompt& request,
                           const GenerateOptions& options, Patience& patience) {
  QUIPU_ASSIGN(const Tokenizer* tok, model.need_tokenizer());
  const int64_t n_ctx = context_of(model, options);
  QUIPU_ASSIGN(Rendered r, render(model, *tok, templates, request, n_ctx, patience));
  const bool may_cut = request.truncate && options.shift;
  // What is refused is read far enough to say how long it is, unless that is very long.
  const int64_t most = std::max(checked_mul<int64_t>(n_ctx, 4).value_or(n_ctx), kMostCounted);
  Prompt p;
  p.tokens = encode(*tok, request, r, may_cut ? SIZE_MAX : static_cast<size_t>(most));
  p.text = std::move(r.text);
  p.thinking = std::move(r.thinking);
  p.dropped_messages = r.dropped_messages;
  const auto n = static_cast<int64_t>(p.tokens.size());
  if (n == 0) return error(Code::kInvalidArgument, "the prompt is empty");
  if (n < n_ctx) return p;
  if (request.truncate && !may_cut) return error(Code::kInvalidArgument, "{}", kNotShifted);
  if (!may_cut)
    return error(
        Code::kInvalidArgument, "the prompt has {}{} tokens, but num_ctx is {}: at most {} fit; shorten it{}",
        n > most ? "more than " : "", std::min(n, most), n_ctx, n_ctx - 1,
        n_ctx < model.model().n_ctx_train() ? " or raise num_ctx" : ": the model was trained for no more");
  truncate(p, n_ctx, options.num_keep, tok->special().add_bos);
  return p;
}

std::vector<int64_t> message_ends(const Tokenizer& tokenizer, std::span<const Token> prompt) {
  std::vector<int64_t> ends;
  for (size_t i = 1; i < prompt.size(); ++i)
    if (tokenizer.is_end_of_generation(prompt[i])) ends.push_back(static_cast<int64_t>(i) + 1);
  return ends;
}

}  // namespace quipu::runner
