// One request of a client and the answer to it: Ollama's forms of objects, errors and streams, the headers
// that go with all of them, and the line that the log gets at the end. Spec: ollama-compat 1.1.
//
// Threads: any; calls that write come from one thread at a time.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "http/exchange.h"
#include "server/json.h"
#include "server/metrics.h"

namespace quipu::server {

// Statuses that have no other home.
inline constexpr int kClientClosedRequest = 499;

class Reply {
 public:
  using Clock = std::chrono::steady_clock;

  // `route`: what the path is counted as.
  Reply(std::shared_ptr<http::Exchange> exchange, std::string path, http::Headers headers,
        std::shared_ptr<Metrics> metrics, std::string route);
  ~Reply();  // writes the log line, and counts the request
  Reply(const Reply&) = delete;
  Reply& operator=(const Reply&) = delete;

  const http::Request& request() const { return exchange_->request(); }
  const std::shared_ptr<http::Exchange>& exchange() const { return exchange_; }
  Clock::time_point received() const { return received_; }
  int64_t elapsed_ns() const;
  bool gone() const { return exchange_->gone(); }

  // Whole answers.
  void json(int status, const Json& body, const char* type = "application/json; charset=utf-8");
  void error(int status, std::string_view sentence);  // {"error":"…"}
  void text(int status, std::string body, const char* type = "text/plain");
  void empty(int status, http::Headers more = {});
  void send(http::Response response);

  // Streams: {"…"} lines of type application/x-ndjson. The first line() sends the head; error_line() before
  // it is a whole answer with that status, after it one more line. False: the client is gone.
  bool line(const Json& object);
  void error_line(int status, std::string_view sentence, const Json& more = Json::object(),
                  const char* type = "application/json; charset=utf-8");
  void finish();
  bool started() const { return started_; }

  // The model it is about, by the name that is shown.
  void set_model(std::string name) { model_ = std::move(name); }
  const std::string& model() const { return model_; }

  // What the log line says beside the status and the time.
  void note(std::string_view text) { note_ += " " + std::string(text); }
  // True once a whole answer or the end of a stream has been sent.
  bool answered() const { return answered_; }

 private:
  const std::shared_ptr<http::Exchange> exchange_;
  const std::string path_;
  std::string model_;
  http::Headers headers_;
  const std::shared_ptr<Metrics> metrics_;
  const std::string route_;
  const Clock::time_point received_ = Clock::now();
  int status_ = 0;
  bool started_ = false, answered_ = false;
  std::string note_;
};

using ReplyPtr = std::shared_ptr<Reply>;

}  // namespace quipu::server
