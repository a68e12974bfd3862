#include "cli/private_server.h"

#include <poll.h>

#include <vector>

#include "cli/api.h"

namespace quipu::cli {

namespace {

constexpr int kTickMs = 100, kEndMs = 2000;

std::vector<std::string> arguments(const PrivateServerOptions& options, const std::string& socket) {
  std::vector<std::string> args = {"quipu", "serve", "--private", "--socket", socket};
  if (!options.model.empty()) args.insert(args.end(), {"--model", options.model});
  if (options.threads > 0) args.insert(args.end(), {"--threads", std::to_string(options.threads)});
  return args;
}

// Its warnings.
Result<std::vector<std::string>> read_ready(const std::string& line) {
  const Json ready = parse_json(line);
  if (!ready.is_object() || !field_of(ready, "ready").is_boolean())
    return error(Code::kInternal, "the private server's first line is not the one that was expected");
  if (!flag_of(ready, "ready"))
    return std::unexpected(failure_of(ready, "the private server could not start"));
  std::vector<std::string> warnings;
  for (const Json& one : field_of(ready, "warnings"))
    if (one.is_string()) warnings.push_back(one.get<std::string>());
  return warnings;
}

}  // namespace

Result<std::unique_ptr<PrivateServer>> PrivateServer::start(const PrivateServerOptions& options,
                                                            SignalWatch& signals,
                                                            FunctionRef<void()> on_tick) {
  QUIPU_ASSIGN(auto child, http::ChildServer::spawn(
                               {.program = options.program,
                                .args = [&](const std::string& socket) { return arguments(options, socket); },
                                .what = "the private server",
                                .keeps_sockets_together = true}));
  std::unique_ptr<PrivateServer> server(new PrivateServer(std::move(child)));
  QUIPU_TRY(server->wait_until_ready(signals, on_tick));
  return server;
}

Result<void> PrivateServer::wait_until_ready(SignalWatch& signals, FunctionRef<void()> on_tick) {
  while (true) {
    switch (signals.wait(child_->output(), POLLIN, kTickMs)) {
      case SignalWatch::Wake::kTimeout:
        on_tick();
        continue;
      case SignalWatch::Wake::kSignal:
        if (signals.take_interrupt()) return error(Code::kCancelled, "interrupted");
        continue;
      case SignalWatch::Wake::kReady:
        break;
    }
    const auto line = child_->read_line();
    if (line && !*line) return std::unexpected(line->error());
    if (line) {
      QUIPU_ASSIGN(warnings_, read_ready(**line));
      return {};
    }
    if (!child_->output_closed()) continue;
    const auto why = death(kEndMs);
    return error(Code::kUnavailable, "{}",
                 why ? *why : "the private server closed its output before it was ready");
  }
}

std::optional<std::string> PrivateServer::death(int wait_ms) {
  if (!child_->wait(std::chrono::milliseconds(wait_ms))) return std::nullopt;
  return child_->ending();
}

}  // namespace quipu::cli
