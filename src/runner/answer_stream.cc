#include "runner/answer_stream.h"

namespace quipu::runner {

namespace {

using Json = nlohmann::ordered_json;

// Bytes that are not UTF-8 (from a model file, say) must not end the process.
std::string dump(const Json& j) { return j.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n"; }

}  // namespace

int error_status(Code code) {
  switch (code) {
    case Code::kInvalidArgument:
      return 400;
    case Code::kNotFound:
      return 404;
    case Code::kUnsupported:
      return 501;
    case Code::kOutOfMemory:
      return 507;
    case Code::kCancelled:
    case Code::kUnavailable:
      return 503;
    default:
      return 500;
  }
}

Json error_json(const Error& e) { return {{"error", e.message}, {"code", code_name(e.code)}}; }

void respond(http::Exchange& exchange, int status, const Json& body) {
  exchange.respond({.status = status,
                    .headers = {{"Content-Type", "application/json; charset=utf-8"}},
                    .body = dump(body)});
}

void respond_error(http::Exchange& exchange, const Error& e) {
  respond(exchange, error_status(e.code), error_json(e));
}

AnswerStream::AnswerStream(Engine& engine, std::shared_ptr<http::Exchange> exchange, const Prompt& prompt,
                           Clock::time_point received)
    : engine_(engine),
      exchange_(std::move(exchange)),
      dropped_messages_(prompt.dropped_messages),
      dropped_tokens_(prompt.dropped_tokens),
      received_(received) {}

Result<void> AnswerStream::start(Engine& engine, std::shared_ptr<http::Exchange> exchange, Prompt prompt,
                                 GenerateOptions options, Clock::time_point received) {
  const auto stream = std::make_shared<AnswerStream>(engine, exchange, prompt, received);
  GenerateRequest request;
  request.prompt = std::move(prompt.tokens);
  request.options = std::move(options);
  request.on_text = [stream](std::string_view piece) { stream->text(piece); };
  request.on_done = [stream](Result<GenerateStats> stats) { stream->done(std::move(stats)); };
  QUIPU_ASSIGN(const uint64_t id, engine.submit(std::move(request)));
  stream->submitted(id);
  exchange->on_gone([stream] { stream->cancel(); });
  return {};
}

// The answer may be over before submit() has returned its id, and the client may go before that.
void AnswerStream::submitted(uint64_t id) {
  {
    const std::lock_guard lock(mutex_);
    id_ = id;
    if (!cancelled_) return;
  }
  engine_.cancel(id);
}

void AnswerStream::cancel() {
  uint64_t id = 0;
  {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
    id = id_;
  }
  if (id != 0) engine_.cancel(id);
}

bool AnswerStream::push(const Json& line) {
  if (cut_) return false;
  if (!started_) {
    // The head waits for the first line, so that what fails before it still gets a status of its own.
    started_ = true;
    cut_ = !exchange_->start(200, {{"Content-Type", "application/x-ndjson"}});
  }
  if (!cut_) {
    const auto taken = exchange_->try_push(dump(line));
    cut_ = taken != http::Exchange::Push::kTaken;
    if (taken == http::Exchange::Push::kFull) exchange_->abort();
  }
  return !cut_;
}

void AnswerStream::text(std::string_view piece) {
  if (!cut_ && !push({{"text", piece}})) cancel();
}

void AnswerStream::done(Result<GenerateStats> stats) {
  if (!stats) {
    if (!started_) return respond_error(*exchange_, stats.error());
    push(error_json(stats.error()));
    return exchange_->finish();
  }
  const auto total = std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - received_).count();
  push({{"done", true},
        {"reason", done_reason(stats->reason)},
        {"stop", stop_reason_name(stats->reason)},
        {"prompt_tokens", stats->prompt_tokens},
        {"cached_tokens", stats->cached_tokens},
        {"generated_tokens", stats->generated_tokens},
        {"dropped_messages", dropped_messages_},
        {"dropped_tokens", dropped_tokens_},
        {"context_shifts", stats->context_shifts},
        {"kv_bytes", stats->kv_bytes},
        {"prompt_ns", stats->prompt_ns},
        {"generate_ns", stats->generate_ns},
        {"total_ns", total}});
  exchange_->finish();
}

}  // namespace quipu::runner
