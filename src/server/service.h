// The server: takes requests from the network, decides who may ask and which handler answers, and holds what
// the handlers share: the store, the fleet of runners, threads for waiting work.
//
// Threads: make, stop and destroy it on one thread that is not a handler's.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "base/unknown_options.h"
#include "fleet/fleet.h"
#include "http/server.h"
#include "server/access.h"
#include "server/config.h"
#include "server/metrics.h"
#include "server/reply.h"
#include "server/request_recorder.h"
#include "server/router.h"
#include "server/work_pool.h"
#include "store/model_info.h"
#include "store/store.h"

namespace quipu::server {

inline constexpr const char* kOllamaApi =
    "0.32.15";  // the level of Ollama's interface that this server stands for

class Service {
 public:
  // Opens the store, listens, loads what is to be preloaded. `log` of the fleet's runners goes to ours.
  static Result<std::unique_ptr<Service>> start(Config config);
  // Serves this one model, named as it is, without a store.
  static Result<std::unique_ptr<Service>> start_private(Config config, store::ModelInfo model,
                                                        std::string name);
  ~Service();  // stop(0)
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  const http::Endpoint& endpoint() const { return http_->endpoint(); }
  // No new requests; those that wait are told that the server ends, and so are, after `grace`, those that
  // run. All runners end.
  void stop(std::chrono::milliseconds grace);

  // For handlers.
  const Config& config() const { return config_; }
  store::Store& store() { return *store_; }
  // By any spelling of the name; of a private server its one model.
  Result<std::shared_ptr<const store::ModelInfo>> read_model(const std::string& name);
  Json list_models();  // {"models":[…]}, as /api/tags has them
  std::string shown_name(const store::ModelInfo& model) const {
    return only_model_ != nullptr ? only_name_ : model.name.short_name();
  }
  fleet::Fleet& fleet() { return *fleet_; }
  WorkPool& files() { return *files_; }  // long work with files: create
  Metrics& metrics() { return *metrics_; }
  UnknownOptions& unknown_options() { return unknown_options_; }

 private:
  // Where a handler runs: on the server's thread (what answers at once) or on a thread that may wait.
  enum class Where { kHere, kWaiting };
  struct Route {
    Where where = Where::kWaiting;
    void (*handle)(Service& service, const ReplyPtr& reply, const std::string& parameter) = nullptr;
  };

  explicit Service(Config config);
  Result<void> open_store();
  Result<void> listen();
  void add_routes();
  http::Admission admit(const http::Request& head);
  // Refused before any handler: the answer's headers in `headers`, which handlers' answers carry too.
  std::optional<http::Response> refuse(const http::Request& head, http::Headers& headers) const;
  void take(std::shared_ptr<http::Exchange> exchange);

  Config config_;
  Router<Route> routes_;
  std::shared_ptr<Metrics> metrics_;  // replies may outlive this
  std::unique_ptr<Access> access_;
  std::unique_ptr<RequestRecorder> recorder_;  // null: requests are not kept
  std::unique_ptr<store::Store> store_;        // null: a private server
  std::shared_ptr<const store::ModelInfo> only_model_;
  std::string only_name_;
  std::unique_ptr<store::ModelReader> models_;
  UnknownOptions unknown_options_;
  std::unique_ptr<fleet::Fleet> fleet_;
  std::unique_ptr<WorkPool> requests_, files_;
  std::unique_ptr<http::Server> http_;
};

}  // namespace quipu::server
