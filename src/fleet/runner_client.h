// The runner's protocol (docs/runner-protocol.md) as calls. They wait for the answer, however long it takes;
// what ends them early is cancel(), from any thread: the connection is closed, and the runner drops the
// request.
//
// Failures are what the runner said, in its words; kCancelled; or kInternal in the words that Ollama's
// clients know, when the runner died or the connection broke.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/function_ref.h"
#include "fleet/failure.h"
#include "fleet/runner_link.h"
#include "http/client.h"
#include "http/socket.h"

namespace quipu::fleet {

// Threads: cancel() and cancelled() any; the calls one at a time. Callbacks run on the caller's thread.
class RunnerClient {
 public:
  // silence: how long nothing may come; negative: for ever.
  explicit RunnerClient(std::shared_ptr<const RunnerLink> link,
                        std::chrono::milliseconds silence = std::chrono::milliseconds(-1));

  // POST /generate. on_line gets every line but the last, which is the result; false ends the request
  // (kCancelled). A line with an error is a failure, also after others.
  Answer<Json> generate(const Json& request, FunctionRef<bool(const Json& line)> on_line);
  // The same with "render_only": {"prompt","prompt_tokens","dropped_messages"}.
  Answer<Json> render(Json request);
  // POST /embed: {"embeddings":[[…]…],"prompt_tokens":n}.
  Answer<Json> embed(const Json& request);
  Answer<std::vector<int64_t>> tokenize(std::string_view text, bool add_special = true,
                                        bool parse_special = true);
  Answer<std::string> detokenize(std::span<const int64_t> tokens);
  Answer<Json> memory();                            // the memory object, as it is now
  Answer<Json> trim();                              // gives back what is cached; the memory object after that
  const Json& info() const { return link_->info; }  // as GET /info; it does not change

  // The call that is running ends with kCancelled, and so do all later ones.
  void cancel();
  bool cancelled() const { return cancelled_; }

 private:
  http::Request post(const char* target, const Json& body) const;
  Answer<Json> call(const http::Request& request);
  Answer<Json> receive(const Result<http::Response>& answer);
  Failure explain(const Error& e) const;
  http::Waiting waiting() const { return {.cancel = cancel_.get(), .on_idle = {}}; }

  const std::shared_ptr<const RunnerLink> link_;
  const http::Fd cancel_;  // an eventfd
  const http::Client http_;
  std::atomic<bool> cancelled_ = false;
};

}  // namespace quipu::fleet
