// What /metrics says: counters and histograms that the server keeps, and gauges that are read when somebody
// asks. Spec: quipu-extensions 9.
//
// Labels are bounded: routes are patterns, models are names of models that were loaded, of which only so many
// are remembered.
//
// Threads: any. Counting takes a lock that nobody holds for long.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/histogram.h>
#include <prometheus/metric_family.h>
#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "fleet/fleet.h"
#include "memory/machine.h"

namespace quipu::server {

// The series of one model.
struct ModelMetrics {
  ModelMetrics();
  prometheus::Histogram first_token_seconds, between_tokens_seconds;
  prometheus::Counter prompt_tokens_new, prompt_tokens_cached, generated_tokens;
  prometheus::Counter loads, failed_loads, crashes, preemptions;
  uint64_t last_used = 0;  // Metrics' own
};
using ModelMetricsPtr = std::shared_ptr<ModelMetrics>;

class Metrics {
 public:
  Metrics(std::string version, std::string isa);

  // `route`: as it was declared, "other" for paths that are none.
  void count_request(const std::string& route, int status, double seconds);
  // By the name that the model is shown with.
  ModelMetricsPtr model(const std::string& name);
  void count_event(const fleet::FleetEvent& event);

  // Prometheus' text format. Several runners that are shown by one name (the model was created anew while it
  // was loaded) are one series each: their sum.
  std::string text(const std::vector<fleet::Loaded>& loaded, const memory::Machine& machine,
                   uint64_t own_bytes);

  static constexpr size_t kMostModels = 64;

 private:
  void count_preemptions(const fleet::Loaded& loaded);  // door_ is held
  void add_server(std::vector<prometheus::MetricFamily>& out);
  void add_models(std::vector<prometheus::MetricFamily>& out, const std::vector<fleet::Loaded>& loaded);

  const std::string version_, isa_;
  std::mutex door_;
  std::map<std::pair<std::string, int>, prometheus::Counter> requests_;            // by route and status
  std::map<std::string, std::unique_ptr<prometheus::Histogram>> request_seconds_;  // by route
  std::map<std::string, ModelMetricsPtr> models_;
  std::map<pid_t, uint64_t> preemptions_;  // of the runners there are, as far as they are counted
  uint64_t uses_ = 0;
};

// Requests that end before a handler has them are counted all the same.
inline constexpr const char* kOtherRoute = "other";

}  // namespace quipu::server
