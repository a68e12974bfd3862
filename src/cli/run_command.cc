// quipu run: one answer, one vector, or a conversation.
#include "base/go_json.h"
#include "cli/client_command.h"
#include "cli/commands.h"
#include "cli/line_editor.h"
#include "cli/render.h"
#include "cli/repl.h"
#include "cli/run_arguments.h"

namespace quipu::cli {

namespace {

// One run of the command: everything that its steps share.
class Run {
 public:
  Run(RunArguments arguments, Console& console) : arguments_(std::move(arguments)), console_(console) {}

  // The exit code of a conversation, else 0.
  Result<int> run() {
    QUIPU_TRY(read_prompt());
    EnvironmentOpener opener(arguments_.verbose, number_of(arguments_.options, "num_thread"), console_);
    QUIPU_ASSIGN(OpenedModel model, opener.open_or_pull(arguments_.model, arguments_.insecure));
    QUIPU_TRY(check_context(model));
    if (model.can("embedding") && !model.can("completion")) return embed(model);
    if (arguments_.think.is_null() && model.can("thinking")) arguments_.think = true;
    return interactive_ ? converse(std::move(model), opener) : answer_once(model);
  }

 private:
  // What is piped in stands in front of the words.
  Result<void> read_prompt() {
    words_ = arguments_.prompt;
    if (!console_.in_is_terminal()) {
      QUIPU_ASSIGN(const std::string input, console_.read_input());
      if (!input.empty()) arguments_.prompt = input + (words_.empty() ? "" : " " + words_);
    }
    interactive_ = !arguments_.has_prompt && console_.in_is_terminal() && console_.out_is_terminal();
    if (interactive_ && arguments_.raw)
      return wrong_usage("--raw takes one prompt: give it as an argument or on standard input");
    return {};
  }

  // Without a prompt a server loads the model: `run MODEL ""` is how scripts do that beforehand. A server
  // that ends with this command has nothing to load it for.
  Result<int> load_only(const OpenedModel& model) {
    if (model.is_private)
      return wrong_usage("there is no prompt: give one as an argument or on standard input");
    ChatSession session;
    session.options = arguments_.options;
    session.keep_alive = arguments_.keep_alive;
    QUIPU_TRY(session.load(model, console_));
    return kOk;
  }

  Result<void> check_context(const OpenedModel& model) const {
    const int64_t n_ctx = number_of(arguments_.options, "num_ctx"), trained = trained_context(model.shown);
    if (trained == 0 || n_ctx <= trained) return {};
    return wrong_usage(
        fmt::format("--num-ctx {} is more than the {} tokens this model was trained for", n_ctx, trained));
  }

  ViewOptions view() const { return {arguments_.word_wrap, arguments_.verbose, arguments_.hide_thinking}; }

  Json common(const OpenedModel& model) const {
    Json body = {{"model", model.name}};
    if (!arguments_.options.empty()) body["options"] = arguments_.options;
    if (!arguments_.keep_alive.is_null()) body["keep_alive"] = arguments_.keep_alive;
    return body;
  }

  Result<int> answer_once(const OpenedModel& model) {
    if (arguments_.prompt.empty()) return load_only(model);
    const bool sees = sees_files(model.shown);
    // A document that was piped in may name pictures that nobody wants looked at.
    if (!sees) QUIPU_TRY(attach_for_model(words_, model.name, false, console_));
    AttachedText question{arguments_.prompt, {}};
    if (sees) {
      QUIPU_ASSIGN(question, attach_for_model(arguments_.prompt, model.name, true, console_));
    }

    Json body = common(model);
    body["prompt"] = question.text;
    for (const Attachment& file : question.files) body["images"].push_back(file.base64);
    if (!arguments_.system.empty()) body["system"] = arguments_.system;
    if (!arguments_.template_text.empty()) body["template"] = arguments_.template_text;
    if (arguments_.raw) body["raw"] = true;
    if (!arguments_.format.is_null()) body["format"] = arguments_.format;
    if (!arguments_.think.is_null()) body["think"] = arguments_.think;
    // A prompt that is too long is refused, with both numbers; an Ollama cuts it.
    if (model.api->version().is_quipu()) body["truncate"] = false;
    QUIPU_ASSIGN(const Answer answer,
                 stream_answer(*model.api, {"/api/generate", std::move(body)}, view(), console_));
    if (answer.cancelled && console_.out_error() == 0) return error(Code::kCancelled, "interrupted");
    return kOk;
  }

  Result<int> embed(const OpenedModel& model) {
    if (arguments_.prompt.empty())
      return wrong_usage(fmt::format(
          "embedding models require input text. Usage: quipu run {} \"your text here\"", arguments_.model));
    Json body = common(model);
    body["input"] = arguments_.prompt;
    if (arguments_.truncate) body["truncate"] = *arguments_.truncate;
    if (arguments_.dimensions > 0) body["dimensions"] = arguments_.dimensions;
    QUIPU_ASSIGN(const Json answer, model.api->call("POST", "/api/embed", body));
    const Json& vectors = field_of(answer, "embeddings");
    if (!vectors.is_array() || vectors.empty())
      return error(Code::kInternal, "the server's answer holds no vector");
    console_.out(go_json(vectors[0]) + "\n");
    return kOk;
  }

  Result<int> converse(OpenedModel model, EnvironmentOpener& opener) {
    QUIPU_ASSIGN(const auto lines, LineEditor::create(console_, HistoryFile::from_environment()));
    ReplSetup setup{std::move(model), {}, view()};
    setup.chat.options = arguments_.options;
    setup.chat.format = arguments_.format;
    setup.chat.think = arguments_.think;
    setup.chat.keep_alive = arguments_.keep_alive;
    setup.chat.template_text = arguments_.template_text;
    if (!arguments_.system.empty()) setup.chat.set_system(arguments_.system);
    QUIPU_TRY(setup.chat.load(setup.model, console_));
    return Repl(std::move(setup), opener, *lines, console_).run();
  }

  RunArguments arguments_;
  Console& console_;
  std::string words_;  // the prompt without what was piped in
  bool interactive_ = false;
};

}  // namespace

int run_command(std::span<const std::string> args) {
  int code = kOk;
  const int ended =
      run_command_with("run", args, [&](Console& console, const Arguments& parsed) -> Result<void> {
        auto arguments = read_run_arguments(parsed);
        if (!arguments && arguments.error().code == Code::kInvalidArgument)
          return wrong_usage(arguments.error().message);
        if (!arguments) return std::unexpected(arguments.error());
        QUIPU_ASSIGN(code, Run(std::move(*arguments), console).run());
        return {};
      });
  return ended != kOk ? ended : code;
}

}  // namespace quipu::cli
