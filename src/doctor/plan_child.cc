#include "doctor/plan_child.h"

#include <poll.h>

#include "http/child_server.h"

namespace quipu::doctor {

std::vector<std::string> plan_arguments(const PlanRequest& r) {
  std::vector<std::string> args = {"quipu", "plan", "--json"};
  const auto add = [&](const char* flag, std::string value) {
    args.emplace_back(flag);
    args.push_back(std::move(value));
  };
  add("--budget", std::to_string(r.budget));
  if (r.admitted > 0) add("--admitted", std::to_string(r.admitted));
  add("--parallel", std::to_string(r.n_parallel));
  if (r.n_ctx > 0) add(r.n_ctx_is_default ? "--default-num-ctx" : "--num-ctx", std::to_string(r.n_ctx));
  if (!r.kv_cache_type.empty()) add("--kv-cache-type", r.kv_cache_type);
  if (r.threads > 0) add("--threads", std::to_string(r.threads));
  if (!r.projector.empty()) add("--projector", r.projector);
  args.emplace_back("--");
  args.push_back(r.path);
  return args;
}

Result<nlohmann::ordered_json> plan_in_child(const PlanRequest& request, std::chrono::milliseconds patience) {
  QUIPU_ASSIGN(const auto child,
               http::ChildServer::spawn({.program = "/proc/self/exe",
                                         .args = [&](const std::string&) { return plan_arguments(request); },
                                         .what = "the plan",
                                         .capture_errors = true,
                                         .keeps_sockets_together = false}));
  const auto until = std::chrono::steady_clock::now() + patience;
  std::string sentence;
  const auto on_line = [&](std::string_view line) {
    if (line.starts_with("Error: ")) sentence = line.substr(7);
  };
  bool errors_open = true;
  while (std::chrono::steady_clock::now() < until) {
    pollfd fds[2] = {{child->output(), POLLIN, 0}, {errors_open ? child->errors() : -1, POLLIN, 0}};
    if (::poll(fds, 2, 200) < 0) continue;
    if (errors_open && fds[1].revents != 0) errors_open = child->read_errors(on_line);
    if (fds[0].revents == 0) continue;
    const auto line = child->read_line();
    if (!line && !child->output_closed()) continue;
    if (line && *line) {
      auto plan = nlohmann::ordered_json::parse(**line, nullptr, false);
      if (plan.is_object()) return plan;
    }
    while (errors_open) errors_open = child->read_errors(on_line);
    return error(Code::kUnsupported, "{}", sentence.empty() ? "the model cannot be planned" : sentence);
  }
  return error(Code::kIo, "the model's file could not be read in time");
}

}  // namespace quipu::doctor
