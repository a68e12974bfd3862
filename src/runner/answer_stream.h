// One answer of /generate on its way to the client: the engine's text and result become NDJSON lines.
//
// The engine's thread must not wait for a slow client. Lines go into the exchange's queue, which is bounded;
// when it is full the request is cancelled and the connection cut. A client that hangs up cancels its request
// too.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "chat/thinking_parser.h"
#include "engine/engine.h"
#include "http/exchange.h"
#include "runner/json_body.h"
#include "runner/loaded_model.h"
#include "runner/prompt.h"
#include "runner/work_queue.h"

namespace quipu::runner {

class AnswerStream : public std::enable_shared_from_this<AnswerStream> {
 public:
  using Clock = std::chrono::steady_clock;

  struct Parts {
    LoadedModel& model;
    std::shared_ptr<WorkQueue> queue;  // for what the engine's thread should not do
    std::shared_ptr<http::Exchange> exchange;
    Clock::time_point received;  // when the request came
    bool return_context = false;
  };
  // Submits the prompt. On an error nothing has been answered yet.
  static Result<void> start(Parts parts, Prompt prompt, GenerateOptions options);

  AnswerStream(Parts parts, Prompt prompt);

 private:
  // These three on the engine's thread.
  void started();
  void piece(const AnswerPiece& piece);
  void done(Result<GenerateStats> stats);

  Json last_line(const GenerateStats& stats) const;
  Json logprobs_json(std::span<const Logprobs> logprobs) const;
  Json token_json(const TokenLogprob& t) const;
  bool push(const Json& line);
  void submitted(uint64_t id);
  void cancel();  // from any thread

  Parts parts_;
  Prompt prompt_;  // its tokens are the engine's by now

  // The engine's thread's until it is done, then the queue's.
  bool begun_ = false, cut_ = false;
  std::string generated_;  // where its tokens are to be returned
  std::optional<ThinkingParser> thinking_;

  std::mutex mutex_;  // guards what follows
  uint64_t id_ = 0;   // 0: not known yet
  bool cancelled_ = false;
};

}  // namespace quipu::runner
