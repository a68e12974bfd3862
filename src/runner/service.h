// A loaded model's answers over HTTP: docs/runner-protocol.md.
//
// Three kinds of threads meet here: the server's own, which only hands requests on; one worker, which reads a
// request, renders its template and tokenises it (a long prompt takes a while, and must not hold up anybody's
// stream); and the engine's, which writes the answer.
//
// Threads: make and destroy it on one thread.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "http/server.h"
#include "runner/loaded_model.h"
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
  explicit Service(LoadedModel& model) : model_(model) {}

  void take(std::shared_ptr<http::Exchange> exchange);  // on the server's thread
  void work(const std::shared_ptr<http::Exchange>& exchange, std::chrono::steady_clock::time_point received);

  Result<nlohmann::ordered_json> tokenize(const nlohmann::json& body);
  Result<nlohmann::ordered_json> detokenize(const nlohmann::json& body);
  Result<nlohmann::ordered_json> fill(const nlohmann::json& body);
  Result<void> generate(const nlohmann::json& body, const std::shared_ptr<http::Exchange>& exchange,
                        std::chrono::steady_clock::time_point received);
  Result<void> check_room(const GenerateOptions& options, int64_t n_prompt) const;

  LoadedModel& model_;
  std::unique_ptr<WorkQueue> worker_;
  std::unique_ptr<http::Server> server_;  // last: ends first
};

}  // namespace quipu::runner
