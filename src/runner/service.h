// A loaded model's answers over HTTP: docs/runner-protocol.md.
//
// Three kinds of threads meet here: the server's own, which only hands requests on; those of the work queue,
// which read a request, render its template and tokenise it (that may take a while, and must not hold up
// anybody's stream); and the engine's, which writes the answer.
//
// Threads: make and destroy it on one thread.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "base/result.h"
#include "http/server.h"
#include "runner/json_body.h"
#include "runner/loaded_model.h"
#include "runner/patience.h"
#include "runner/run_options.h"
#include "runner/template_cache.h"
#include "runner/work_queue.h"

namespace quipu::runner {

class Service {
 public:
  static http::ServerOptions server_options();

  // Listens on a Unix socket. The model must outlive the service.
  static Result<std::unique_ptr<Service>> start(LoadedModel& model, const std::string& socket_path,
                                                const http::ServerOptions& options = server_options());
  ~Service();  // cuts what is running
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

 private:
  // One request, from its arrival on.
  struct Call {
    std::shared_ptr<http::Exchange> exchange;
    std::chrono::steady_clock::time_point received;
    Patience& patience;
  };

  explicit Service(LoadedModel& model);

  void take(std::shared_ptr<http::Exchange> exchange);  // on the server's thread
  void work(const Call& call);                          // on a thread of the queue
  // The answer; null: it comes from elsewhere.
  Result<Json> answer(const Call& call);

  Result<Json> tokenize(const Json& body);
  Result<Json> detokenize(const Json& body);
  Result<Json> trim();
  Result<Json> fill(const Json& body);
  static Json refuse(const Call& call, const LoadFailure& failure);
  Result<Json> generate(const Json& body, const Call& call);
  Result<Json> embed(const Json& body, const Call& call);

  LoadedModel& model_;
  TemplateCache templates_;
  UnknownOptions unknown_options_;
  std::atomic<int64_t> last_context_{0};  // of the last request
  std::shared_ptr<WorkQueue> queue_;      // stopped with the service; answers that are cut may still hold it
  std::unique_ptr<http::Server> server_;
};

}  // namespace quipu::runner
