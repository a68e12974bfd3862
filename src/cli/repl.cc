#include "cli/repl.h"

#include <algorithm>
#include <sstream>

#include "cli/answer_view.h"
#include "cli/model_tables.h"
#include "cli/render.h"
#include "cli/repl_help.h"

namespace quipu::cli {

namespace {

constexpr const char* kHint = "Send a message (/? for help)";

bool blank(const std::string& s) { return s.find_first_not_of(" \t\r\n") == std::string::npos; }

std::vector<std::string> words_of(const std::string& line) {
  std::istringstream in(line);
  std::vector<std::string> words;
  for (std::string w; in >> w;) words.push_back(w);
  return words;
}

std::string without_end(std::string line) {
  line.erase(line.find_last_not_of(" \t\r\n") + 1);
  return line;
}

}  // namespace

std::string after_words(const std::string& line, int n) {
  size_t at = 0;
  for (; n > 0; --n) {
    at = line.find_first_not_of(" \t", at);
    if (at == std::string::npos) return {};
    at = std::min(line.find_first_of(" \t\n", at), line.size());
  }
  at = line.find_first_not_of(" \t", at);
  return at == std::string::npos ? std::string() : line.substr(at);
}

Repl::Repl(ReplSetup setup, ModelOpener& opener, LineSource& lines, Console& console)
    : model_(std::move(setup.model)),
      chat_(std::move(setup.chat)),
      view_(setup.view),
      opener_(opener),
      lines_(lines),
      console_(console) {}

void Repl::say(std::string_view text) { console_.out(printable(text) + "\n"); }

int Repl::run() {
  show_stored_messages();
  while (console_.signals().ending() == 0 && console_.out_error() == 0) {
    const bool more = pending_ != Pending::kNone;
    const LineSource::Line line = lines_.read(more ? "... " : ">>> ", more ? "" : kHint);
    if (line.outcome == LineSource::Outcome::kEnd) break;
    if (line.outcome == LineSource::Outcome::kInterrupted) {
      if (line.text.empty() && !more) say("Use Ctrl + d or /bye to exit.");
      text_.reset();
      pending_ = Pending::kNone;
      continue;
    }
    if (!blank(line.text)) lines_.remember(line.text);
    if (!take_line(line.text)) return 0;
  }
  return console_.signals().ending() != 0 ? 128 + console_.signals().ending() : 0;
}

// The conversation that a model comes with.
void Repl::show_stored_messages() {
  for (const Json& m : field_of(model_.shown, "messages")) {
    const std::string role = text_of(m, "role"), content = text_of(m, "content");
    if (role == "user") say(">>> " + content);
    if (role != "assistant") continue;
    AnswerView view(console_, view_);
    view.content(content);
    view.end();
    console_.out("\n\n");
  }
}

bool Repl::take_line(const std::string& line) {
  if (pending_ == Pending::kNone) {
    // A pasted text that begins with a slash is a text; only a system message may span lines.
    const bool is_command =
        line.starts_with('/') && (line.find('\n') == std::string::npos || line.starts_with("/set system "));
    if (is_command && !begins_with_file(line)) return command(without_end(line));
    pending_ = Pending::kMessage;
  }
  if (text_.feed(pending_ == Pending::kMessage && !text_.open() ? without_end(line) : line)) finish_text();
  return true;
}

bool Repl::begins_with_file(const std::string& line) const {
  for (const std::string& path : file_paths_in(line))
    if (line.starts_with(path)) return true;
  return false;
}

void Repl::finish_text() {
  const Pending kind = pending_;
  const std::string text = text_.text();
  text_.reset();
  pending_ = Pending::kNone;
  if (kind == Pending::kSystem) {
    chat_.set_system(text);
    say("Set system message.");
  } else if (!blank(text)) {
    ask(text);
  }
}

void Repl::ask(const std::string& text) {
  auto question = attach_for_model(text, model_.name, sees_files(model_.shown), console_);
  if (!question) return console_.report(question.error());
  const auto answer = chat_.ask(std::move(*question), model_, view_, console_);
  if (!answer) console_.report(answer.error());
}

void Repl::unknown(const std::string& line) {
  say(fmt::format("Unknown command '{}'. Type /? for help", line));
}

bool Repl::command(const std::string& line) {
  const std::vector<std::string> words = words_of(line);
  const std::string& name = words[0];
  if (name == "/bye" || name == "/exit") return false;
  if (name == "/set")
    set(line, words);
  else if (name == "/show")
    show(line, words);
  else if (name == "/?" || name == "/help")
    help(words);
  else if (name == "/list")
    list();
  else if (name == "/load")
    load(words);
  else if (name == "/save")
    save(words);
  else if (name == "/clear") {
    chat_.clear();
    say("Cleared session context");
  } else {
    unknown(name);
  }
  return true;
}

void Repl::help(const std::vector<std::string>& words) {
  const std::string topic = words.size() > 1 ? words[1] : "";
  if (topic == "set" || topic == "/set")
    console_.err_page(set_help_page());
  else if (topic == "show" || topic == "/show")
    console_.err_page(show_help_page());
  else if (topic == "shortcut" || topic == "shortcuts")
    console_.err_page(shortcuts_help_page());
  else
    console_.err_page(help_page_of_conversation());
}

void Repl::list() {
  const auto tags = model_.api->call("GET", "/api/tags");
  if (!tags) return console_.report(tags.error());
  console_.out_text(list_text(*tags, "", now()));
}

void Repl::load(const std::vector<std::string>& words) {
  if (words.size() != 2) return say("Usage:\n  /load <modelname>");
  say(fmt::format("Loading model '{}'", words[1]));
  auto opened = opener_.open(words[1]);
  if (!opened && opened.error().code == Code::kNotFound)
    return say(fmt::format("Couldn't find model '{}'", words[1]));
  if (!opened) return console_.report(opened.error());
  if (!opened->can("completion") && opened->can("embedding"))
    return say(fmt::format("'{}' is a model for embeddings: it cannot chat", words[1]));
  chat_.forget();
  model_ = std::move(*opened);  // the private server of a file ends here
  if (const auto loaded = chat_.load(model_, console_); !loaded) return console_.report(loaded.error());
  show_stored_messages();
}

void Repl::save(const std::vector<std::string>& words) {
  if (words.size() != 2) return say("Usage:\n  /save <modelname>");
  if (model_.is_file)
    return say(
        "This model runs from a file. Make a model of it first: quipu create, with FROM and its path in the "
        "Modelfile.");
  Json body = {{"model", words[1]}, {"from", model_.name}, {"stream", true}};
  if (!chat_.options.empty()) body["parameters"] = chat_.options;
  Json messages = Json::array();
  for (const Json& m : field_of(model_.shown, "messages")) messages.push_back(m);
  Json own = chat_.messages_json();
  // A system message that everything follows is the model's; a later one is a part of the conversation.
  if (!own.empty() && own[0]["role"] == "system") {
    body["system"] = own[0]["content"];
    own.erase(0);
  }
  for (Json& m : own) messages.push_back(std::move(m));
  if (!messages.empty()) body["messages"] = std::move(messages);

  Spinner spinner(console_, "");
  const auto made = model_.api->stream(
      "/api/create", body, [](const Json&) { return true; },
      [&] {
        spinner.tick();
        return !console_.signals().take_interrupt();
      });
  spinner.clear();
  if (made) return say(fmt::format("Created new model '{}'", words[1]));
  if (made.error().message.find("invalid model name") != std::string::npos)
    return say(fmt::format("error: The model name '{}' is invalid", words[1]));
  console_.report(made.error());
}

}  // namespace quipu::cli
