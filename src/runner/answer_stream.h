// One answer of /generate on its way to the client: the engine's text and result become NDJSON lines.
//
// The engine's thread must not wait for a slow client. Lines go into the exchange's queue, which is bounded;
// when it is full the request is cancelled and the connection cut. A client that hangs up cancels its request
// too.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/result.h"
#include "engine/engine.h"
#include "http/exchange.h"
#include "runner/prompt.h"

namespace quipu::runner {

// HTTP status of an error's code, and {"error":"one sentence","code":"snake_case"}.
int error_status(Code code);
nlohmann::ordered_json error_json(const Error& e);
void respond(http::Exchange& exchange, int status, const nlohmann::ordered_json& body);
void respond_error(http::Exchange& exchange, const Error& e);

class AnswerStream {
 public:
  using Clock = std::chrono::steady_clock;

  // Submits the prompt. On an error nothing has been answered yet. `received` is when the request came.
  static Result<void> start(Engine& engine, std::shared_ptr<http::Exchange> exchange, Prompt prompt,
                            GenerateOptions options, Clock::time_point received);

  AnswerStream(Engine& engine, std::shared_ptr<http::Exchange> exchange, const Prompt& prompt,
               Clock::time_point received);

 private:
  void text(std::string_view piece);       // on the engine's thread
  void done(Result<GenerateStats> stats);  // on the engine's thread
  bool push(const nlohmann::ordered_json& line);
  void submitted(uint64_t id);
  void cancel();  // from any thread

  Engine& engine_;
  const std::shared_ptr<http::Exchange> exchange_;
  const int64_t dropped_messages_, dropped_tokens_;
  const Clock::time_point received_;

  // The engine's thread only.
  bool started_ = false, cut_ = false;

  std::mutex mutex_;  // guards what follows
  uint64_t id_ = 0;   // 0: not known yet
  bool cancelled_ = false;
};

}  // namespace quipu::runner
