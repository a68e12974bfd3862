#include "cli/client_command.h"

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "cli/help_page.h"
#include "cli/http_api.h"

namespace quipu::cli {

namespace {

constexpr const char* kWrongUsage = "usage";  // the subject of such errors

http::HostSetting server_setting(Console* console) {
  http::HostSetting where = http::host_setting_from_environment();
  if (console != nullptr && !where.warning.empty()) console->err_line("Warning: " + where.warning);
  // What a server takes for all of its interfaces is this machine to a client.
  if (!where.endpoint.is_unix() && where.endpoint.host.empty()) where.endpoint.host = "127.0.0.1";
  return where;
}

void compare_versions(const ServerVersion& server, Console& console) {
  if (!server.is_quipu() || server.quipu == QUIPU_VERSION) return;
  console.err_line(
      fmt::format("Warning: client version is {}, server is {}: restart the server (systemctl restart quipu) "
                  "or update the client",
                  QUIPU_VERSION, server.quipu));
}

}  // namespace

bool server_would_be_local() {
  const http::HostSetting where = server_setting(nullptr);
  const std::string& host = where.endpoint.host;
  return where.endpoint.is_unix() || host == "localhost" || host.starts_with("127.") || host == "::1" ||
         host == "0.0.0.0" || host == "::";
}

Result<std::shared_ptr<Api>> find_server(Console& console) {
  auto api = std::make_shared<HttpApi>(server_setting(&console), console);
  QUIPU_TRY(api->connect());
  compare_versions(api->version(), console);
  return api;
}

Result<std::shared_ptr<Api>> connect(Console& console) {
  auto api = find_server(console);
  if (!api && nobody_listens(api.error()))
    return error(Code::kUnavailable, "could not connect to ollama server, run 'quipu serve' to start it");
  return api;
}

std::unexpected<Error> wrong_usage(std::string sentence) {
  return std::unexpected(Error{Code::kInvalidArgument, std::move(sentence), kWrongUsage});
}

int fail(Console& console, const Error& e) {
  if (const int signal = console.signals().ending()) return kBySignal + signal;
  // As if the signal had ended the program; nobody is left to be told.
  if (console.out_error() == EPIPE) return kBySignal + SIGPIPE;
  if (e.code == Code::kCancelled) return kBySignal + SIGINT;
  console.report(e);
  return e.subject == kWrongUsage ? kUsage : kFailed;
}

int finish(Console& console) {
  const int number = console.out_error();
  if (number == 0) return kOk;
  return fail(console, {Code::kIo, fmt::format("cannot write the answer: {}", std::strerror(number)), {}});
}

int run_command_with(const char* name, std::span<const std::string> args,
                     const std::function<Result<void>(Console&, const Arguments&)>& work) {
  SignalWatch signals;
  Console console(STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO, signals);
  const Command* command = find_command(name);
  if (command == nullptr)
    return fail(console, {Code::kInternal, fmt::format("there is no command {}", name), {}});
  const auto arguments = parse_arguments(*command, args);
  if (!arguments) return fail(console, wrong_usage(arguments.error().message).error());
  if (arguments->help) {
    console.out_page(help_page(*command));
    return finish(console);
  }
  if (const auto done = work(console, *arguments); !done) return fail(console, done.error());
  return finish(console);
}

int run_client_command(const char* name, std::span<const std::string> args,
                       const std::function<Result<void>(Console&, const Arguments&, Api&)>& work) {
  return run_command_with(name, args, [&](Console& console, const Arguments& arguments) -> Result<void> {
    QUIPU_ASSIGN(const std::shared_ptr<Api> api, connect(console));
    return work(console, arguments, *api);
  });
}

}  // namespace quipu::cli
