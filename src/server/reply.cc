#include "server/reply.h"

#include "base/log.h"
#include "base/units.h"

namespace quipu::server {

Reply::Reply(std::shared_ptr<http::Exchange> exchange, std::string path, http::Headers headers,
             std::shared_ptr<Metrics> metrics, std::string route)
    : exchange_(std::move(exchange)),
      path_(std::move(path)),
      headers_(std::move(headers)),
      metrics_(std::move(metrics)),
      route_(std::move(route)) {}

Reply::~Reply() {
  const int status = status_ != 0 ? status_ : kClientClosedRequest;  // nobody was left to be answered
  metrics_->count_request(route_, status, static_cast<double>(elapsed_ns()) / 1e9);
  const auto level = status >= 500 ? spdlog::level::warn : spdlog::level::info;
  spdlog::log(level, "{} {} {} {}{}", request().method, path_, status, format_duration_ns(elapsed_ns()),
              note_);
}

int64_t Reply::elapsed_ns() const {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - received_).count();
}

void Reply::send(http::Response response) {
  if (answered_ || started_) return;
  answered_ = true;
  status_ = response.status;
  http::Headers all = headers_;
  for (const auto& [name, value] : response.headers) all.add(name, value);
  response.headers = std::move(all);
  exchange_->respond(std::move(response));
}

void Reply::json(int status, const Json& body, const char* type) {
  send({.status = status, .headers = {{"Content-Type", type}}, .body = go_json(body)});
}

void Reply::error(int status, std::string_view sentence) { json(status, {{"error", sentence}}); }

void Reply::text(int status, std::string body, const char* type) {
  send({.status = status, .headers = {{"Content-Type", type}}, .body = std::move(body)});
}

void Reply::empty(int status, http::Headers more) {
  send({.status = status, .headers = std::move(more), .body = {}});
}

bool Reply::line(const Json& object) {
  if (answered_) return false;
  if (!started_) {
    started_ = true;
    status_ = 200;
    http::Headers all = headers_;
    all.add("Content-Type", "application/x-ndjson");
    if (!exchange_->start(200, std::move(all))) return false;
  }
  return exchange_->push(go_json(object) + "\n");
}

void Reply::error_line(int status, std::string_view sentence, const Json& more, const char* type) {
  Json object = {{"error", sentence}};
  for (const auto& [key, value] : more.items()) object[key] = value;
  if (!started_) return json(status, object, type);
  note(fmt::format("error \"{}\"", sentence));
  line(object);
  finish();
}

void Reply::finish() {
  if (answered_ || !started_) return;
  answered_ = true;
  exchange_->finish();
}

}  // namespace quipu::server
