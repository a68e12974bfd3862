#include "doctor/plan_child.h"

#include <poll.h>

#include "http/child_server.h"

namespace quipu::doctor {

Result<nlohmann::ordered_json> plan_in_child(const std::vector<std::string>& args,
                                             std::chrono::milliseconds patience) {
  QUIPU_ASSIGN(const auto child, http::ChildServer::spawn({.program = "/proc/self/exe",
                                                           .args = [&](const std::string&) { return args; },
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
