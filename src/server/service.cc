#include "server/service.h"

#include <malloc.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <thread>

#include "base/cpu.h"
#include "base/log.h"
#include "server/native/handlers.h"
#include "store/show.h"

namespace quipu::server {

namespace {

std::string temporary_folder() {
  std::error_code unusable;
  const auto folder = std::filesystem::temp_directory_path(unusable);
  return unusable ? "/tmp" : folder.string();
}

// Requests are read, models looked up and prompts handed on: short work. Answers are written on threads of
// the fleet.
constexpr int kRequestThreads = 4;
// Hashing and copying gigabytes: two at a time keep one from waiting for the other.
constexpr int kFileThreads = 2;
// When the server ends: for the last words of answers that are ended, if a client is slow to read them.
constexpr std::chrono::milliseconds kLastWords{500};
// The values in a body take many times its size.
constexpr size_t kLargeBody = 1 << 20;

// Connections for which there are file descriptors, when every answer that may run, the runners and the store
// have theirs.
size_t connections_at_most(const Config& c, size_t wanted) {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == RLIM_INFINITY) return wanted;
  const uint64_t answers = static_cast<uint64_t>(c.num_parallel) * static_cast<uint64_t>(c.max_loaded);
  const uint64_t others = std::min<uint64_t>(128 + 4 * answers, files.rlim_cur / 2);
  return static_cast<size_t>(std::min<uint64_t>(wanted, files.rlim_cur - others));
}

http::Response plain(int status, std::string body) {
  return {.status = status, .headers = {{"Content-Type", "text/plain"}}, .body = std::move(body)};
}

http::Response redirect(const http::Request& head, const std::string& to, const std::string& query,
                        int get_status) {
  const bool get = head.method == "GET";
  const int status = get ? get_status : 307;
  const std::string location = escape_path(to) + (query.empty() ? "" : "?" + query);
  http::Response out{.status = status, .headers = {}, .body = {}};
  if (get || head.method == "HEAD") out.headers.add("Content-Type", "text/html; charset=utf-8");
  if (get) {
    std::string escaped;
    for (const char c : location)
      escaped += c == '&'   ? "&amp;"
                 : c == '<' ? "&lt;"
                 : c == '>' ? "&gt;"
                 : c == '"' ? "&#34;"
                            : std::string(1, c);
    out.body = fmt::format("<a href=\"{}\">{}</a>.\n\n", escaped, http::status_phrase(status));
  }
  out.headers.add("Location", location);
  return out;
}

}  // namespace

Service::Service(Config config) : config_(std::move(config)) {
  const auto isa = choose_isa();
  metrics_ = std::make_shared<Metrics>(QUIPU_VERSION, isa_name(isa ? *isa : best_isa()));
}

Result<std::unique_ptr<Service>> Service::start(Config config) {
  std::unique_ptr<Service> s(new Service(std::move(config)));
  QUIPU_TRY(s->open_store());
  QUIPU_TRY(s->listen());
  for (const std::string& name : s->config_.preload)
    s->requests_->post([s = s.get(), name] { native::preload(*s, name); });
  return s;
}

Result<std::unique_ptr<Service>> Service::start_private(Config config, store::ModelInfo model,
                                                        std::string name) {
  std::unique_ptr<Service> s(new Service(std::move(config)));
  s->only_model_ = std::make_shared<const store::ModelInfo>(std::move(model));
  s->only_name_ = std::move(name);
  QUIPU_TRY(s->listen());
  return s;
}

Result<void> Service::open_store() {
  const Config& c = config_;
  QUIPU_ASSIGN(store_, store::Store::open(
                           c.models, {.no_prune = !c.prune, .grace = std::chrono::hours(1), .step = {}}));
  models_ = std::make_unique<store::ModelReader>(*store_);
  if (!c.prune) return {};
  if (const auto pruned = store_->prune(); !pruned)
    spdlog::warn("unused blobs were not looked for: {}", pruned.error().message);
  else if (pruned->blobs + pruned->leftovers > 0)
    spdlog::info("removed {} unused blobs and {} leftovers", pruned->blobs, pruned->leftovers);
  return {};
}

Result<void> Service::listen() {
  const Config& c = config_;
  access_ = std::make_unique<Access>(c.host.endpoint, c.origins, c.api_key);
  if (c.log_requests) {
    const std::string address =
        c.host.endpoint.is_unix() ? "http://localhost" : "http://" + c.host.endpoint.to_string();
    QUIPU_ASSIGN(recorder_, RequestRecorder::create(temporary_folder(), address));
    spdlog::info("requests are kept in {}", recorder_->folder());
  }
  add_routes();
  fleet::FleetOptions fleet;
  fleet.n_parallel = c.num_parallel;
  fleet.max_loaded = c.max_loaded;
  fleet.max_queue = c.max_queue;
  fleet.load_timeout = c.load_timeout;
  fleet.keep_alive = c.keep_alive;
  fleet.bounds = c.memory;
  fleet.load = {.num_ctx = c.context_length, .kv_cache_type = c.kv_cache_type, .threads = c.threads};
  fleet.on_event = [this](const fleet::FleetEvent& event) {
    metrics_->count_event(event);
    native::log_event(config_, event);
  };
  fleet_ = std::make_unique<fleet::Fleet>(std::move(fleet));
  requests_ = std::make_unique<WorkPool>(kRequestThreads);
  files_ = std::make_unique<WorkPool>(kFileThreads);

  http::ServerOptions options;
  options.max_header_bytes = 1 << 20;
  options.max_connections = connections_at_most(c, options.max_connections);
  options.admit = [this](const http::Request& head) { return admit(head); };
  QUIPU_ASSIGN(http_,
               http::Server::listen(c.host.endpoint, options,
                                    [this](std::shared_ptr<http::Exchange> e) { take(std::move(e)); }));
  return {};
}

Result<std::shared_ptr<const store::ModelInfo>> Service::read_model(const std::string& name) {
  if (only_model_ != nullptr) {
    if (name == only_name_) return only_model_;
    return error(Code::kNotFound, "model '{}' not found", name);
  }
  QUIPU_ASSIGN(const ModelReference reference, parse_model_reference(name));
  QUIPU_ASSIGN(store::ModelInfo info, models_->read(reference.name));
  return std::make_shared<const store::ModelInfo>(std::move(info));
}

Json Service::list_models() {
  if (only_model_ == nullptr) return store::tags_json(*store_, *models_);
  Json one = store::tag_json(*only_model_);
  one["name"] = one["model"] = only_name_;
  return {{"models", Json::array({std::move(one)})}};
}

Service::~Service() { stop(std::chrono::milliseconds(0)); }

void Service::stop(std::chrono::milliseconds grace) {
  // Answers end before their connections do, so that they can say why: those that wait at once, those that
  // run when the grace is over.
  std::thread jobs([&] {
    if (fleet_) fleet_->stop(grace);
  });
  if (http_) http_->stop(grace.count() > 0 ? grace + kLastWords : grace);
  jobs.join();
  requests_.reset();
  files_.reset();
}

void Service::add_routes() {
  const auto add = [&](const char* methods, const char* path, auto handle, Where where = Where::kWaiting) {
    for (std::string_view rest = methods; !rest.empty();) {
      const size_t end = std::min(rest.find(' '), rest.size());
      routes_.add(rest.substr(0, end), path, {where, handle});
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  };
  using namespace native;
  add("HEAD GET", "/", root, Where::kHere);
  add("HEAD GET", "/api/version", version, Where::kHere);
  add("GET", "/api/status", status, Where::kHere);
  add("GET", "/health", health, Where::kHere);
  add("POST", "/api/generate", generate);
  add("POST", "/api/chat", chat);
  add("POST", "/api/embed", embed);
  add("POST", "/api/embeddings", embeddings);
  add("POST", "/api/tokenize", tokenize);
  add("POST", "/api/detokenize", detokenize);
  add("HEAD GET", "/api/tags", tags);
  add("POST", "/api/show", show);
  add("GET", "/api/ps", ps);
  add("GET POST", "/api/plan", plan);
  add("GET", "/api/doctor", doctor);
  add("GET", "/metrics", native::metrics);
  for (const char* path :
       {"/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses", "/v1/messages"})
    add("POST", path, other_dialect, Where::kHere);
  for (const char* path : {"/v1/models", "/v1/models/:model"}) add("GET", path, other_dialect, Where::kHere);
  if (store_ == nullptr) return;  // a private server has nothing to change
  add("POST", "/api/create", create);
  add("POST", "/api/copy", copy);
  add("DELETE", "/api/delete", remove);
  add("HEAD", "/api/blobs/:digest", head_blob);
  add("POST", "/api/blobs/:digest", post_blob);
  add("POST", "/api/pull", pull);
  add("POST", "/api/push", push);
  add("POST", "/api/me", me, Where::kHere);
  add("POST", "/api/signout", me, Where::kHere);
  add("POST", "/api/experimental/web_search", web_search, Where::kHere);
  add("POST", "/api/experimental/web_fetch", web_fetch, Where::kHere);
}

std::optional<http::Response> Service::refuse(const http::Request& head, http::Headers& headers) const {
  if (head.target == "*") return http::Response{.status = head.method == "OPTIONS" ? 200 : 400};
  const Target target = parse_target(head.target);
  if (!target.valid) return plain(400, "400 Bad Request");
  const auto found = routes_.find(head.method, target.path);
  const auto* otherwise = std::get_if<Router<Route>::Otherwise>(&found);
  if (otherwise != nullptr && otherwise->known) headers.add("Allow", otherwise->allow);
  const auto with = [&](http::Response r) {
    for (const auto& [name, value] : r.headers) headers.add(name, value);
    r.headers = std::move(headers);
    return r;
  };

  if (!access_->host_allowed(head.headers.find("Host").value_or("")))
    return with({.status = 403, .headers = {}, .body = {}});
  if (const auto origin = head.headers.find("Origin"); origin && !origin->empty()) {
    if (!access_->origin_allowed(*origin)) return with({.status = 403, .headers = {}, .body = {}});
    if (head.method == "OPTIONS")
      return with({.status = 204, .headers = access_->preflight_headers(*origin), .body = {}});
    for (const auto& [name, value] : access_->cors_headers(*origin)) headers.add(name, value);
  }
  if (otherwise != nullptr) {
    if (otherwise->known) return with(plain(405, "405 method not allowed"));
    if (!otherwise->redirect.empty())
      return with(redirect(head, otherwise->redirect, target.query, otherwise->cleaned ? 307 : 301));
    return with(plain(404, "404 page not found"));
  }
  if (access_->needs_key() && target.path != "/" && target.path != "/health" && !access_->key_allowed(head)) {
    http::Headers key = {{"WWW-Authenticate", "Bearer"}, {"Content-Type", "application/json; charset=utf-8"}};
    return with({.status = 401,
                 .headers = key,
                 .body = go_json(Json{{"error", "unauthorized: a bearer key is needed (QUIPU_API_KEY)"}})});
  }
  return std::nullopt;
}

http::Admission Service::admit(const http::Request& head) {
  http::Headers headers;
  if (auto refused = refuse(head, headers)) {
    metrics_->count_request(kOtherRoute, refused->status, 0);
    return {.max_body_bytes = 0, .sink = {}, .answer = std::move(refused)};
  }
  const Target target = parse_target(head.target);
  constexpr std::string_view kBlobs = "/api/blobs/";
  if (head.method == "POST" && target.path.starts_with(kBlobs))
    return native::admit_blob(*store_, target.path.substr(kBlobs.size()), std::move(headers));
  return {};
}

void Service::take(std::shared_ptr<http::Exchange> exchange) {
  http::Headers headers;
  if (auto refused = refuse(exchange->request(), headers)) return exchange->respond(std::move(*refused));
  Target target = parse_target(exchange->request().target);
  const auto found = routes_.find(exchange->request().method, target.path);
  const auto* match = std::get_if<Router<Route>::Match>(&found);
  if (match == nullptr) return;  // refuse() has said so
  // Writes a file, so never here.
  const auto record = [this, path = target.path](const http::Exchange& e) {
    if (recorder_) recorder_->record(path, e.request().body);
  };
  auto reply = std::make_shared<Reply>(std::move(exchange), std::move(target.path), std::move(headers),
                                       metrics_, std::string(match->pattern));
  const Route route = match->handler;
  if (route.where == Where::kHere) {
    if (recorder_) requests_->post([record, e = reply->exchange()] { record(*e); });
    return route.handle(*this, reply, match->parameter);
  }
  requests_->post([this, route, reply, record, parameter = match->parameter] {
    record(*reply->exchange());
    if (reply->gone()) return;
    const bool large = reply->request().body.size() > kLargeBody;
    try {
      route.handle(*this, reply, parameter);
    } catch (
        const std::exception& e) {  // no memory for what the request says; nothing else is meant to throw
      reply->error_line(500, fmt::format("the request failed: {}", e.what()));
    }
    if (large) malloc_trim(0);  // many small values, and something that lives stands behind them
  });
}

}  // namespace quipu::server
