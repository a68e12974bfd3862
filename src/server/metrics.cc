#include "server/metrics.h"

#include <prometheus/text_serializer.h>

#include <algorithm>
#include <array>
#include <sstream>

#include "fleet/memory_facts.h"

namespace quipu::server {

namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

// From what is answered at once to a long answer; to a first word after a long prompt; between words.
const prometheus::Histogram::BucketBoundaries kRequestSeconds = {0.001, 0.005, 0.02, 0.1, 0.5, 1,
                                                                 2.5,   5,     10,   30,  60,  300};
const prometheus::Histogram::BucketBoundaries kFirstTokenSeconds = {0.05, 0.1, 0.25, 0.5, 1,  2.5,
                                                                    5,    10,  30,   60,  300};
const prometheus::Histogram::BucketBoundaries kBetweenTokensSeconds = {0.005, 0.01, 0.02, 0.035, 0.05, 0.075,
                                                                       0.1,   0.15, 0.25, 0.5,   1,    2.5};

using Labels = std::vector<std::pair<const char*, std::string>>;

MetricFamily family(const char* name, const char* help, MetricType type) {
  MetricFamily f;
  f.name = name;
  f.help = help;
  f.type = type;
  return f;
}

void add(MetricFamily& f, ClientMetric metric, const Labels& labels) {
  for (const auto& [name, value] : labels) metric.label.push_back({name, value});
  f.metric.push_back(std::move(metric));
}

void add_gauge(MetricFamily& f, double value, const Labels& labels) {
  ClientMetric metric;
  metric.gauge.value = value;
  add(f, std::move(metric), labels);
}

// 0 where it is missing.
uint64_t count_at(const fleet::Json& engine, const char* name) {
  return static_cast<uint64_t>(fleet::number_at(engine, {name}));
}

}  // namespace

ModelMetrics::ModelMetrics()
    : first_token_seconds(kFirstTokenSeconds), between_tokens_seconds(kBetweenTokensSeconds) {}

Metrics::Metrics(std::string version, std::string isa) : version_(std::move(version)), isa_(std::move(isa)) {}

void Metrics::count_request(const std::string& route, int status, double seconds) {
  std::lock_guard lock(door_);
  requests_[{route, status}].Increment();
  auto& histogram = request_seconds_[route];
  if (!histogram) histogram = std::make_unique<prometheus::Histogram>(kRequestSeconds);
  histogram->Observe(seconds);
}

ModelMetricsPtr Metrics::model(const std::string& name) {
  std::lock_guard lock(door_);
  if (!models_.contains(name) && models_.size() >= kMostModels) {
    const auto oldest = std::min_element(models_.begin(), models_.end(), [](const auto& a, const auto& b) {
      return a.second->last_used < b.second->last_used;
    });
    models_.erase(oldest);
  }
  ModelMetricsPtr& m = models_[name];
  if (!m) m = std::make_shared<ModelMetrics>();
  m->last_used = ++uses_;
  return m;
}

void Metrics::count_event(const fleet::FleetEvent& e) {
  using Kind = fleet::FleetEvent::Kind;
  if (e.kind == Kind::kLoadFailed && e.retried) return;
  const ModelMetricsPtr m = model(e.loaded.model.name);
  if (e.kind == Kind::kLoaded) m->loads.Increment();
  if (e.kind == Kind::kLoadFailed) m->failed_loads.Increment();
  if (e.kind == Kind::kCrashed) m->crashes.Increment();
  std::lock_guard lock(door_);
  if (e.kind == Kind::kLoaded) preemptions_[e.loaded.pid] = 0;
  count_preemptions(e.loaded);
  if (e.kind != Kind::kLoaded) preemptions_.erase(e.loaded.pid);
}

void Metrics::count_preemptions(const fleet::Loaded& l) {
  const auto counted = preemptions_.find(l.pid);
  const auto m = models_.find(l.model.name);
  if (counted == preemptions_.end() || m == models_.end()) return;  // it has ended meanwhile
  if (l.preemptions <= counted->second) return;
  m->second->preemptions.Increment(static_cast<double>(l.preemptions - counted->second));
  counted->second = l.preemptions;
}

void Metrics::add_server(std::vector<MetricFamily>& out) {
  std::lock_guard lock(door_);
  MetricFamily requests = family("quipu_requests_total", "Requests answered.", MetricType::Counter);
  for (const auto& [key, counter] : requests_)
    add(requests, counter.Collect(), {{"route", key.first}, {"code", std::to_string(key.second)}});
  MetricFamily seconds = family("quipu_request_seconds", "From a request's arrival to the end of its answer.",
                                MetricType::Histogram);
  for (const auto& [route, histogram] : request_seconds_)
    add(seconds, histogram->Collect(), {{"route", route}});
  out.push_back(std::move(requests));
  out.push_back(std::move(seconds));
}

void Metrics::add_models(std::vector<MetricFamily>& out, const std::vector<fleet::Loaded>& loaded) {
  MetricFamily first = family("quipu_time_to_first_token_seconds",
                              "From a request's arrival to its first token.", MetricType::Histogram);
  MetricFamily between =
      family("quipu_inter_token_seconds", "From one piece of an answer to the next.", MetricType::Histogram);
  MetricFamily prompt = family("quipu_prompt_tokens_total", "Tokens of prompts.", MetricType::Counter);
  MetricFamily generated = family("quipu_generated_tokens_total", "Tokens of answers.", MetricType::Counter);
  MetricFamily loads =
      family("quipu_loads_total", "Models that were loaded, or could not be.", MetricType::Counter);
  MetricFamily crashes =
      family("quipu_runner_crashes_total", "Runners that ended by themselves.", MetricType::Counter);
  MetricFamily preemptions =
      family("quipu_preemptions_total", "Sequences that paused for want of memory.", MetricType::Counter);
  {
    std::lock_guard lock(door_);
    for (const auto& [name, m] : models_) {
      add(first, m->first_token_seconds.Collect(), {{"model", name}});
      add(between, m->between_tokens_seconds.Collect(), {{"model", name}});
      add(prompt, m->prompt_tokens_cached.Collect(), {{"model", name}, {"cached", "true"}});
      add(prompt, m->prompt_tokens_new.Collect(), {{"model", name}, {"cached", "false"}});
      add(generated, m->generated_tokens.Collect(), {{"model", name}});
      add(loads, m->loads.Collect(), {{"model", name}, {"result", "ok"}});
      add(loads, m->failed_loads.Collect(), {{"model", name}, {"result", "failed"}});
      add(crashes, m->crashes.Collect(), {{"model", name}});
      add(preemptions, m->preemptions.Collect(), {{"model", name}});
    }
  }
  MetricFamily sequences =
      family("quipu_sequences", "Sequences that are computed, and those that wait for a place or for memory.",
             MetricType::Gauge);
  std::map<std::string, std::pair<uint64_t, uint64_t>> jobs;
  for (const fleet::Loaded& l : loaded) {
    auto& [running, waiting] = jobs[l.model.name];
    // Where the engine does not say, what it was given stands for what it computes.
    running += l.engine.is_object() ? count_at(l.engine, "running") : l.running;
    waiting += count_at(l.engine, "waiting") + l.waiting;
  }
  for (const auto& [name, n] : jobs) {
    add_gauge(sequences, static_cast<double>(n.first), {{"model", name}, {"state", "running"}});
    add_gauge(sequences, static_cast<double>(n.second), {{"model", name}, {"state", "waiting"}});
  }
  for (MetricFamily* f : {&first, &between, &prompt, &generated, &sequences, &loads, &crashes, &preemptions})
    out.push_back(std::move(*f));
}

std::string Metrics::text(const std::vector<fleet::Loaded>& loaded, const memory::Machine& machine,
                          uint64_t own_bytes) {
  {
    std::lock_guard lock(door_);
    for (const fleet::Loaded& l : loaded) count_preemptions(l);
  }
  std::vector<MetricFamily> all;
  add_server(all);
  add_models(all, loaded);

  MetricFamily bytes = family("quipu_memory_bytes", "Memory by category; without a model the server's own.",
                              MetricType::Gauge);
  std::map<std::array<std::string, 3>, double> sums;  // by model, category and kind
  for (const fleet::Loaded& l : loaded) {
    if (!l.memory.is_object()) continue;
    for (const auto& [category, object] : l.memory.items())
      for (const char* kind : {"planned", "measured"})
        if (object.is_object() && object.contains(kind))
          sums[{l.model.name, category, kind}] += static_cast<double>(fleet::number_at(object, {kind}));
    if (const auto rest = l.memory.find("unexplained"); rest != l.memory.end() && rest->is_number())
      sums[{l.model.name, "unexplained", "measured"}] += rest->get<double>();
  }
  for (const auto& [of, sum] : sums)
    add_gauge(bytes, sum, {{"model", of[0]}, {"category", of[1]}, {"kind", of[2]}});
  add_gauge(bytes, static_cast<double>(own_bytes),
            {{"model", ""}, {"category", "total"}, {"kind", "measured"}});
  all.push_back(std::move(bytes));

  MetricFamily budget =
      family("quipu_budget_bytes", "What models may take, and what that comes of.", MetricType::Gauge);
  const auto term = [&](const std::string& name, uint64_t n) {
    add_gauge(budget, static_cast<double>(n), {{"term", name}});
  };
  term("total", machine.total);
  term("available", machine.available);
  term("budget", machine.budget());
  term("admitted", machine.admitted);
  term("free", machine.free());
  for (const memory::BudgetTerm& t : machine.all_terms()) term(t.name, t.bytes);
  all.push_back(std::move(budget));

  MetricFamily build = family("quipu_build_info", "This server; the value is always 1.", MetricType::Gauge);
  add_gauge(build, 1, {{"version", version_}, {"isa", isa_}});
  all.push_back(std::move(build));

  std::erase_if(all, [](const MetricFamily& f) { return f.metric.empty(); });
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, all);
  return std::move(out).str();
}

}  // namespace quipu::server
