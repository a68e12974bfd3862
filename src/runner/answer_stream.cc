#include "runner/answer_stream.h"

#include "runner/respond.h"

namespace quipu::runner {

AnswerStream::AnswerStream(Parts parts, Prompt prompt)
    : parts_(std::move(parts)), prompt_(std::move(prompt)) {
  if (prompt_.thinking) thinking_.emplace(prompt_.thinking->open, prompt_.thinking->close, prompt_.text);
  if (!parts_.return_context) prompt_.text = {};
}

Result<void> AnswerStream::start(Parts parts, Prompt prompt, GenerateOptions options) {
  Engine& engine = parts.model.engine();
  GenerateRequest request;
  if (const Tokenizer* tokenizer = parts.model.tokenizer())
    request.boundaries = message_ends(*tokenizer, prompt.tokens);
  request.prompt = std::move(prompt.tokens);
  request.options = std::move(options);
  const auto stream = std::make_shared<AnswerStream>(std::move(parts), std::move(prompt));
  request.on_start = [stream] { stream->started(); };
  request.on_piece = [stream](const AnswerPiece& piece) { stream->piece(piece); };
  request.on_done = [stream](Result<GenerateStats> stats) { stream->done(std::move(stats)); };
  QUIPU_ASSIGN(const uint64_t id, engine.submit(std::move(request)));
  stream->submitted(id);
  stream->parts_.exchange->on_gone([stream] { stream->cancel(); });
  return {};
}

// The answer may be over before submit() has returned its id, and the client may go before that.
void AnswerStream::submitted(uint64_t id) {
  {
    const std::lock_guard lock(mutex_);
    id_ = id;
    if (!cancelled_) return;
  }
  parts_.model.engine().cancel(id);
}

void AnswerStream::cancel() {
  uint64_t id = 0;
  {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
    id = id_;
  }
  if (id != 0) parts_.model.engine().cancel(id);
}

bool AnswerStream::push(const Json& line) {
  if (cut_) return false;
  if (!begun_) {
    // The head waits for the first line, so that what fails before it still gets a status of its own.
    begun_ = true;
    cut_ = !parts_.exchange->start(200, {{"Content-Type", "application/x-ndjson"}});
  }
  if (!cut_) {
    const auto taken = parts_.exchange->try_push(dump(line) + "\n");
    cut_ = taken != http::Exchange::Push::kTaken;
    if (taken == http::Exchange::Push::kFull) parts_.exchange->abort();
  }
  if (cut_) cancel();
  return !cut_;
}

namespace {

int64_t nanoseconds_since(AnswerStream::Clock::time_point t) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(AnswerStream::Clock::now() - t).count();
}

}  // namespace

void AnswerStream::started() { push({{"started", true}, {"queued_ns", nanoseconds_since(parts_.received)}}); }

void AnswerStream::piece(const AnswerPiece& piece) {
  if (parts_.return_context) generated_ += piece.text;
  ThinkingParser::Parts parts;
  if (thinking_)
    parts = thinking_->feed(piece.text);
  else
    parts.content = piece.text;
  // With the first line, if there is one at all.
  Json logprobs = piece.logprobs.empty() ? Json() : logprobs_json(piece.logprobs);
  const auto line = [&](const char* name, const std::string& text) {
    Json out = {{name, text}};
    if (!logprobs.is_null()) out["logprobs"] = std::exchange(logprobs, nullptr);
    push(out);
  };
  if (!parts.thinking.empty()) line("thinking", parts.thinking);
  if (!parts.content.empty() || !logprobs.is_null()) line("text", parts.content);
}

Json AnswerStream::token_json(const TokenLogprob& t) const {
  const Tokenizer* tokenizer = parts_.model.tokenizer();
  const std::string text = tokenizer != nullptr ? tokenizer->piece(t.id, true) : std::string();
  Json bytes = Json::array();
  for (const char c : text) bytes.push_back(static_cast<unsigned char>(c));
  return {{"token", text}, {"logprob", t.logprob}, {"bytes", std::move(bytes)}};
}

Json AnswerStream::logprobs_json(std::span<const Logprobs> logprobs) const {
  Json out = Json::array();
  for (const Logprobs& l : logprobs) {
    Json& entry = out.emplace_back(token_json(l.token));
    if (l.top.empty()) continue;
    Json& top = entry["top_logprobs"] = Json::array();
    for (const TokenLogprob& t : l.top) top.push_back(token_json(t));
  }
  return out;
}

Json AnswerStream::last_line(const GenerateStats& stats) const {
  return {{"done", true},
          {"reason", done_reason(stats.reason)},
          {"stop", stop_reason_name(stats.reason)},
          {"prompt_tokens", stats.prompt_tokens},
          {"cached_tokens", stats.cached_tokens},
          {"generated_tokens", stats.generated_tokens},
          {"dropped_messages", prompt_.dropped_messages},
          {"dropped_tokens", prompt_.dropped_tokens},
          {"context_shifts", stats.context_shifts},
          {"kv_bytes", stats.kv_bytes},
          {"prompt_ns", stats.prompt_ns},
          {"generate_ns", stats.generate_ns},
          {"total_ns", nanoseconds_since(parts_.received)}};
}

void AnswerStream::done(Result<GenerateStats> stats) {
  if (!stats) {
    if (!begun_) return respond_error(*parts_.exchange, stats.error());
    push(error_json(stats.error()));
    return parts_.exchange->finish();
  }
  if (!parts_.return_context || cut_) {
    push(last_line(*stats));
    return parts_.exchange->finish();
  }
  // Tokenising a long conversation would hold up everybody's next token.
  parts_.queue->post([stream = shared_from_this(), stats = *stats](WorkQueue::Place&) {
    Json line = stream->last_line(stats);
    const std::string text = stream->prompt_.text + stream->generated_;
    line["context"] = stream->parts_.model.tokenizer()->encode(text, false, true);
    stream->push(line);
    stream->parts_.exchange->finish();
  });
}

}  // namespace quipu::runner
