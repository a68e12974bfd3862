#include "cli/run_command.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "cli/answer.h"
#include "cli/console.h"
#include "cli/line_editor.h"
#include "cli/local_runner.h"
#include "cli/repl.h"
#include "cli/report.h"
#include "cli/run_arguments.h"

namespace quipu::cli {

namespace {

constexpr int kOk = 0, kFailed = 1, kUsage = 2, kBySignal = 128;

Result<void> check_file(const std::string& name) {
  struct stat facts{};
  if (stat(name.c_str(), &facts) != 0) {
    if (errno != ENOENT && errno != ENOTDIR)
      return error(Code::kIo, "cannot open '{}': {}", name, std::strerror(errno));
    const bool path = name.find('/') != std::string::npos || name.ends_with(".gguf");
    return error(Code::kNotFound, "there is no file '{}'{}", name,
                 path ? "" : ", and models by name are not supported yet: give the path of a GGUF file");
  }
  if (S_ISDIR(facts.st_mode))
    return error(Code::kInvalidArgument, "'{}' is a folder: give the path of a GGUF file", name);
  if (access(name.c_str(), R_OK) != 0)
    return error(Code::kIo, "cannot read '{}': {}", name, std::strerror(errno));
  return {};
}

// What this build cannot do is refused, never passed over.
Result<void> check_features(const RunArguments& a) {
  if (a.format && !a.format->empty()) return error(Code::kUnsupported, "--format is not supported yet");
  if (a.think && *a.think != "false")
    return error(Code::kUnsupported, "\"{}\" does not support thinking", a.model);
  return {};
}

// One run of the command: everything that its steps share.
class Run {
 public:
  Run(RunArguments arguments, Console& console) : arguments_(std::move(arguments)), console_(console) {}

  int run() {
    for (const auto& checked : {check_file(arguments_.model), check_features(arguments_)})
      if (!checked) return fail(checked.error(), kFailed);
    if (!console_.in_is_terminal()) {
      auto input = console_.read_input();
      if (!input) return fail(input.error(), kFailed);
      if (!input->empty())
        arguments_.prompt = *input + (arguments_.prompt.empty() ? "" : " " + arguments_.prompt);
    }
    const bool interactive =
        arguments_.prompt.empty() && console_.in_is_terminal() && console_.out_is_terminal();
    if (arguments_.prompt.empty() && (!interactive || arguments_.raw))
      return fail(
          {Code::kInvalidArgument, "there is no prompt: give one as an argument or on standard input", {}},
          kUsage);

    LocalRunner runner(runner_options(), console_);
    if (auto started = runner.ensure_running(); !started)
      return fail(started.error(), started.error().code == Code::kInvalidArgument ? kUsage : kFailed);
    auto info = runner.get("/info");
    if (!info) return fail(info.error(), kFailed);
    if (const std::string why = text_of(*info, "tokenizer_error"); !why.empty())
      return fail({Code::kUnsupported, "this model's tokenizer cannot be used: " + why, {}}, kFailed);
    const int64_t n_ctx = number_of(arguments_.options, "num_ctx"), trained = number_of(*info, "n_ctx_train");
    if (trained > 0 && n_ctx > trained)
      return fail(
          {Code::kInvalidArgument,
           fmt::format("--num-ctx {} is more than the {} tokens this model was trained for", n_ctx, trained),
           {}},
          kUsage);
    return interactive ? converse(runner, std::move(*info)) : answer_once(runner, *info);
  }

 private:
  int fail(const Error& e, int code) {
    if (const int signal = console_.signals().ending()) return kBySignal + signal;
    if (e.code == Code::kCancelled) return kBySignal + SIGINT;
    console_.report(e);
    return code;
  }

  fleet::RunnerOptions runner_options() const {
    fleet::RunnerOptions o;
    o.model = arguments_.model;
    o.num_ctx = number_of(arguments_.options, "num_ctx");
    o.threads = number_of(arguments_.options, "num_thread");
    o.kv_cache_type = text_of(arguments_.options, "kv_cache_type");
    return o;
  }

  ViewOptions view() const { return {arguments_.word_wrap, arguments_.verbose}; }

  int answer_once(RunnerConnection& runner, const Json& info) {
    Json request = {{"prompt", arguments_.prompt},
                    {"raw", arguments_.raw},
                    {"options", arguments_.options},
                    {"truncate", false}};
    if (!arguments_.system.empty()) request["system"] = arguments_.system;
    if (!arguments_.template_text.empty()) request["template"] = arguments_.template_text;
    const int64_t n_ctx = number_of(arguments_.options, "num_ctx", number_of(info, "num_ctx"));
    const auto answer = stream_answer(runner, request, view(), n_ctx, console_);
    if (!answer) return fail(answer.error(), kFailed);
    if (const int number = console_.out_error(); number == EPIPE) {
      return kBySignal + SIGPIPE;  // as if the signal had ended the program; nobody is left to be told
    } else if (number != 0) {
      return fail({Code::kIo, fmt::format("cannot write the answer: {}", std::strerror(number)), {}},
                  kFailed);
    }
    return answer->cancelled ? fail({Code::kCancelled, {}, {}}, kFailed) : kOk;
  }

  int converse(RunnerConnection& runner, Json info) {
    auto lines = LineEditor::create(console_, HistoryFile::from_environment());
    if (!lines) return fail(lines.error(), kFailed);
    ReplSetup setup{arguments_.model, std::move(info), {}, view()};
    setup.chat.options = arguments_.options;
    setup.chat.template_text = arguments_.template_text;
    if (!arguments_.system.empty()) setup.chat.set_system(arguments_.system);
    return Repl(std::move(setup), runner, **lines, console_).run();
  }

  RunArguments arguments_;
  Console& console_;
};

}  // namespace

int run_command(std::span<const std::string> args) {
  SignalWatch signals;
  Console console(STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO, signals);
  auto arguments = parse_run_arguments(args);
  if (!arguments) {
    console.report(arguments.error());
    return arguments.error().code == Code::kInvalidArgument ? kUsage : kFailed;
  }
  if (arguments->help) return console.out(run_help()) ? kOk : kFailed;
  return Run(std::move(*arguments), console).run();
}

}  // namespace quipu::cli
