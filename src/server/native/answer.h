// An answer of /api/generate or /api/chat: what the runner streams becomes Ollama's objects, line by line or
// one for all. Spec: ollama-compat 1.3.5, 1.4, 1.5, 1.6; quipu-extensions 5.
//
// Threads: one at a time.
#pragma once

#include <string>

#include "base/result.h"
#include "server/reply.h"

namespace quipu::server::native {

class Answer {
 public:
  enum class Form { kGenerate, kChat };

  // `model`: the name as the client wrote it.
  Answer(ReplyPtr reply, Form form, std::string model, bool stream);
  // Where its tokens and their times are counted.
  void count_in(ModelMetricsPtr metrics) { metrics_ = std::move(metrics); }

  // A line of the runner's stream. False: the client is gone.
  bool take(const Json& line);
  // The runner's last line. load_ns: from the request's arrival until the model was ready for it.
  void done(const Json& last, int64_t load_ns);
  // An answer without words: "load" or "unload".
  void without_words(const char* done_reason);
  // What _debug_render_only gives.
  void rendered(const std::string& prompt);

  bool started() const { return reply_->started(); }

 private:
  // The part that all objects begin with, up to "done".
  Json object(std::string_view text, std::string_view thinking, bool done) const;
  bool piece(std::string_view text, std::string_view thinking, Json logprobs);

  const ReplyPtr reply_;
  const Form form_;
  const std::string model_;
  const bool stream_;
  ModelMetricsPtr metrics_;
  Reply::Clock::time_point last_line_;  // of the runner's
  bool began_ = false;
  std::string text_, thinking_;  // so far, where it is not streamed
  Json logprobs_ = Json::array();
};

// The status for a runner's or the fleet's failure, and what belongs beside its sentence.
int status_of(Code code);

}  // namespace quipu::server::native
