#include "server/metrics.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <set>
#include <sstream>

namespace quipu::server {
namespace {

bool has_line(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

fleet::Loaded loaded(const std::string& name) {
  fleet::Loaded l;
  l.model.name = name;
  l.state = fleet::Loaded::State::kReady;
  l.running = 2;
  l.waiting = 1;
  l.memory = {{"weights", {{"planned", 100}, {"measured", 101}}},
              {"kv", {{"planned", 7}, {"measured", 7}, {"ceiling", 9}, {"type", "f16:f16"}}},
              {"total", {{"planned", 107}, {"measured", 110}}},
              {"unexplained", -2}};
  l.engine = {{"running", 3}, {"waiting", 4}};
  l.preemptions = 3;
  return l;
}

memory::Machine machine() {
  memory::Machine m;
  m.total = 1000;
  m.available = 900;
  m.terms = {{"MemAvailable", 900}};
  m.limit = 800;
  m.admitted = 300;
  return m;
}

TEST(Metrics, EveryNameAndLabelOfTheInterface) {
  Metrics m("0.1.0", "avx2");
  m.count_request("/api/chat", 200, 0.3);
  m.count_request("/api/chat", 200, 0.4);
  m.count_request(kOtherRoute, 404, 0);
  const ModelMetricsPtr model = m.model("smol:latest");
  model->first_token_seconds.Observe(0.2);
  model->between_tokens_seconds.Observe(0.02);
  model->prompt_tokens_cached.Increment(5);
  model->prompt_tokens_new.Increment(6);
  model->generated_tokens.Increment(7);
  const fleet::Loaded l = loaded("smol:latest");
  m.count_event({.kind = fleet::FleetEvent::Kind::kLoaded, .loaded = l});
  fleet::Loaded other = l;
  other.pid = l.pid + 1;
  m.count_event({.kind = fleet::FleetEvent::Kind::kLoadFailed, .loaded = other});
  m.count_event({.kind = fleet::FleetEvent::Kind::kLoadFailed,
                 .loaded = other,
                 .load_ns = 0,
                 .why = {},
                 .retried = true});
  m.count_event({.kind = fleet::FleetEvent::Kind::kCrashed, .loaded = other});
  const std::string text = m.text({l}, machine(), 42);
  for (const char* line : {
           R"(quipu_requests_total{route="/api/chat",code="200"} 2)",
           R"(quipu_requests_total{route="other",code="404"} 1)",
           R"(quipu_request_seconds_count{route="/api/chat"} 2)",
           R"(quipu_request_seconds_bucket{route="/api/chat",le="0.5"} 2)",
           R"(quipu_request_seconds_bucket{route="/api/chat",le="0.1"} 0)",
           R"(quipu_time_to_first_token_seconds_count{model="smol:latest"} 1)",
           R"(quipu_inter_token_seconds_count{model="smol:latest"} 1)",
           R"(quipu_prompt_tokens_total{model="smol:latest",cached="true"} 5)",
           R"(quipu_prompt_tokens_total{model="smol:latest",cached="false"} 6)",
           R"(quipu_generated_tokens_total{model="smol:latest"} 7)",
           R"(quipu_sequences{model="smol:latest",state="running"} 3)",
           R"(quipu_sequences{model="smol:latest",state="waiting"} 5)",
           R"(quipu_memory_bytes{model="smol:latest",category="weights",kind="planned"} 100)",
           R"(quipu_memory_bytes{model="smol:latest",category="weights",kind="measured"} 101)",
           R"(quipu_memory_bytes{model="smol:latest",category="unexplained",kind="measured"} -2)",
           R"(quipu_memory_bytes{model="",category="total",kind="measured"} 42)",
           R"(quipu_budget_bytes{term="total"} 1000)",
           R"(quipu_budget_bytes{term="budget"} 800)",
           R"(quipu_budget_bytes{term="admitted"} 300)",
           R"(quipu_budget_bytes{term="free"} 500)",
           R"(quipu_budget_bytes{term="MemAvailable"} 900)",
           R"(quipu_loads_total{model="smol:latest",result="ok"} 1)",
           R"(quipu_loads_total{model="smol:latest",result="failed"} 1)",
           R"(quipu_runner_crashes_total{model="smol:latest"} 1)",
           R"(quipu_preemptions_total{model="smol:latest"} 3)",
           R"(quipu_build_info{version="0.1.0",isa="avx2"} 1)",
           "# TYPE quipu_inter_token_seconds histogram",
           "# TYPE quipu_requests_total counter",
           "# TYPE quipu_sequences gauge",
       })
    EXPECT_TRUE(has_line(text, line)) << line << "\n" << text;
}

TEST(Metrics, RunnersOfOneNameAreOneSeries) {
  Metrics m("0.1.0", "avx2");
  fleet::Loaded old = loaded("smol:latest"), now = old;
  old.pid = 7;
  now.pid = 8;
  now.preemptions = 2;
  for (const auto& l : {old, now}) m.count_event({.kind = fleet::FleetEvent::Kind::kLoaded, .loaded = l});
  const std::string text = m.text({old, now}, machine(), 42);
  for (const char* line : {
           R"(quipu_sequences{model="smol:latest",state="running"} 6)",
           R"(quipu_sequences{model="smol:latest",state="waiting"} 10)",
           R"(quipu_memory_bytes{model="smol:latest",category="total",kind="measured"} 220)",
           R"(quipu_memory_bytes{model="smol:latest",category="unexplained",kind="measured"} -4)",
           R"(quipu_preemptions_total{model="smol:latest"} 5)",
       })
    EXPECT_TRUE(has_line(text, line)) << line << "\n" << text;
  std::set<std::string> seen;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('#')) continue;
    EXPECT_TRUE(seen.insert(line.substr(0, line.rfind(' '))).second) << line;
  }
}

TEST(Metrics, PreemptionsAreCountedOnceAndKept) {
  using Kind = fleet::FleetEvent::Kind;
  Metrics m("0.1.0", "avx2");
  fleet::Loaded l = loaded("smol:latest");
  l.pid = 7;
  const auto is = [&](const std::vector<fleet::Loaded>& there, int n) {
    const std::string text = m.text(there, {}, 0);
    EXPECT_TRUE(has_line(text, fmt::format("quipu_preemptions_total{{model=\"smol:latest\"}} {}", n)))
        << text;
  };
  m.count_event({.kind = Kind::kLoaded, .loaded = l});
  is({l}, 3);
  is({l}, 3);
  const fleet::Loaded before = l;
  l.preemptions = 5;  // nobody asked in between
  m.count_event({.kind = Kind::kUnloaded, .loaded = l});
  is({}, 5);
  is({before}, 5);  // listed before it ended
  l.preemptions = 0;
  m.count_event({.kind = Kind::kLoaded, .loaded = l});
  l.preemptions = 1;
  is({l}, 6);
  l.preemptions = 4;
  m.count_event({.kind = Kind::kCrashed, .loaded = l});
  is({}, 9);
}

// A sequence that waits for memory has its lease, but nobody computes it.
TEST(Metrics, SequencesAreTheEnginesAndThoseInTheQueue) {
  Metrics m("0.1.0", "avx2");
  fleet::Loaded l = loaded("smol:latest");
  l.running = 4;
  l.waiting = 2;
  const auto is = [&](int running, int waiting) {
    const std::string text = m.text({l}, {}, 0);
    for (const auto& [state, n] : {std::pair("running", running), std::pair("waiting", waiting)})
      EXPECT_TRUE(
          has_line(text, fmt::format("quipu_sequences{{model=\"smol:latest\",state=\"{}\"}} {}", state, n)))
          << text;
  };
  l.engine = {{"running", 1}, {"waiting", 3}};
  is(1, 5);
  l.engine = {{"running", 0}, {"waiting", 0}};
  is(0, 2);
  l.engine = nullptr;  // it loads, or did not answer in time
  is(4, 2);
}

TEST(Metrics, ModelsAreForgottenWhenThereAreTooMany) {
  Metrics m("0.1.0", "avx2");
  const ModelMetricsPtr held = m.model("m0");
  for (size_t i = 1; i <= Metrics::kMostModels; ++i)
    m.model("m" + std::to_string(i))->generated_tokens.Increment();
  held->generated_tokens.Increment();  // an answer that goes on counts into what nobody reads
  const std::string text = m.text({}, {}, 0);
  EXPECT_EQ(text.find("model=\"m0\""), std::string::npos);
  EXPECT_TRUE(has_line(text, "quipu_generated_tokens_total{model=\"m1\"} 1"));
}

TEST(Metrics, NamesAreEscaped) {
  Metrics m("0.1.0", "avx2");
  m.model("a\"b\\c\nd");
  EXPECT_TRUE(has_line(m.text({}, {}, 0), R"(quipu_generated_tokens_total{model="a\"b\\c\nd"} 0)"));
}

}  // namespace
}  // namespace quipu::server
