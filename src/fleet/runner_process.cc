#include "fleet/runner_process.h"

#include <string_view>

namespace quipu::fleet {
namespace {

std::vector<std::string> arguments(const RunnerOptions& options, const std::string& socket) {
  std::vector<std::string> args = {"quipu",    "runner", "--model",    options.model,
                                   "--socket", socket,   "--parallel", std::to_string(options.parallel)};
  const auto add = [&](const char* flag, std::string value) {
    args.emplace_back(flag);
    args.push_back(std::move(value));
  };
  for (const std::string& projector : options.projectors) add("--projector", projector);
  if (options.num_ctx > 0) add("--num-ctx", std::to_string(options.num_ctx));
  if (!options.kv_cache_type.empty()) add("--kv-cache-type", options.kv_cache_type);
  if (options.wished_num_ctx > 0) add("--wished-num-ctx", std::to_string(options.wished_num_ctx));
  if (!options.wished_kv_cache_type.empty()) add("--wished-kv-cache-type", options.wished_kv_cache_type);
  if (options.threads > 0) add("--threads", std::to_string(options.threads));
  if (options.budget != nullptr) add("--budget-slot", std::to_string(options.budget_slot));
  return args;
}

Answer<RunnerReady> parse_ready(std::string_view line) {
  const Json ready = Json::parse(line, nullptr, false);
  const auto member = [&](const char* key) -> Json {
    const auto it = ready.find(key);
    return it == ready.end() ? Json() : *it;
  };
  if (!ready.is_object() || !member("ready").is_boolean())
    return failure(Code::kInternal, "the runner's first line is not the one that was expected");
  if (!member("ready").get<bool>())
    return std::unexpected(failure_of(ready, "the runner could not load the model"));
  const Json load_ns = member("load_ns");
  return RunnerReady{.load_ns = load_ns.is_number_integer() ? load_ns.get<int64_t>() : 0,
                     .info = member("info"),
                     .memory = member("memory")};
}

}  // namespace

Result<std::unique_ptr<http::ChildServer>> spawn_runner(const RunnerOptions& options) {
  static_assert(memory::SharedBudget::kPageDescriptor == 3 && memory::SharedBudget::kBellDescriptor == 4);
  std::vector<int> inherited;
  if (options.budget != nullptr)
    inherited = {options.budget->page_descriptor(), options.budget->bell_descriptor()};
  return http::ChildServer::spawn(
      {.program = options.program,
       .args = [&](const std::string& socket) { return arguments(options, socket); },
       .what = "the runner",
       .capture_errors = options.capture_errors,
       .inherited = std::move(inherited)});
}

std::optional<Answer<RunnerReady>> read_ready(http::ChildServer& runner) {
  auto line = runner.read_line();
  if (!line) return std::nullopt;
  if (!*line) return failure(Code::kInternal, "{}", line->error().message);
  return parse_ready(**line);
}

}  // namespace quipu::fleet
