#include "cli/answer.h"

#include "cli/answer_view.h"
#include "cli/report.h"
#include "modelfile/model_name.h"

namespace quipu::cli {

namespace {

// The entry of /api/ps for a model as a user wrote it. Models made of the same weights share one runner,
// which is shown by one of their names: where nothing else is loaded, that is it.
Json loaded_model(Api& api, const std::string& model) {
  const auto ps = api.call("GET", "/api/ps");
  if (!ps) return {};
  const Json& models = field_of(*ps, "models");
  for (const Json& m : models) {
    const std::string name = text_of(m, "name");
    if (name == model || parse_model_name(name).same_model(parse_model_name(model))) return m;
  }
  return models.is_array() && models.size() == 1 ? models[0] : Json();
}

struct Piece {
  std::string text, thinking;
};

Piece piece_of(const Json& line) {
  const Json& message = field_of(line, "message");
  if (message.is_object()) return {text_of(message, "content"), text_of(message, "thinking")};
  return {text_of(line, "response"), text_of(line, "thinking")};
}

// What to know once an answer is over.
void tell_end(Api& api, const Question& question, const Json& done, const ViewOptions& view,
              Console& console) {
  const std::string model = text_of(question.body, "model");
  const Json& options = field_of(question.body, "options");
  const bool full = text_of(field_of(done, "quipu"), "stop") == "context";
  int64_t num_ctx = number_of(options, "num_ctx");
  if (full && num_ctx == 0) num_ctx = loaded_context(api, model);
  for (const std::string& notice : {shift_notice(done), stop_notice(done, num_ctx, options)})
    if (!notice.empty()) console.err_line(notice);
  if (!view.verbose) return;
  console.err(metrics_text(done));
  console.err(memory_text(field_of(field_of(loaded_model(api, model), "quipu"), "memory")));
}

}  // namespace

int64_t loaded_context(Api& api, const std::string& model) {
  return number_of(loaded_model(api, model), "context_length");
}

Result<Answer> stream_answer(Api& api, const Question& question, const ViewOptions& view, Console& console) {
  Answer answer;
  AnswerView shown(console, view);
  const auto on_line = [&](const Json& line) {
    const Piece piece = piece_of(line);
    answer.thinking += piece.thinking;
    answer.text += piece.text;
    if (flag_of(line, "done")) answer.done = line;
    return shown.thinking(piece.thinking) && shown.content(piece.text) && !console.signals().take_interrupt();
  };
  const auto on_idle = [&] {
    if (console.signals().take_interrupt()) return false;
    shown.idle();
    return true;
  };
  const Result<void> streamed = api.stream(question.path, question.body, on_line, on_idle);
  shown.end();
  const bool anything = !answer.text.empty() || !answer.thinking.empty();
  if (!streamed && streamed.error().code != Code::kCancelled) {
    if (anything) console.out("\n\n");
    return std::unexpected(streamed.error());
  }
  console.out("\n\n");
  if (!streamed) {
    answer.cancelled = true;
    answer.done = Json();
    return answer;
  }
  tell_end(api, question, answer.done, view, console);
  return answer;
}

}  // namespace quipu::cli
