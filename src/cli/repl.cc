#include "cli/repl.h"

#include <algorithm>
#include <array>
#include <sstream>

#include "cli/render.h"
#include "cli/repl_help.h"
#include "cli/report.h"

namespace quipu::cli {

namespace {

constexpr const char* kHint = "Send a message (/? for help)";
constexpr const char* kNoStore =
    "There are no named models yet: start `quipu run` with the path of a GGUF file.";

bool blank(const std::string& s) { return s.find_first_not_of(" \t\r\n") == std::string::npos; }

std::vector<std::string> words_of(const std::string& line) {
  std::istringstream in(line);
  std::vector<std::string> words;
  for (std::string w; in >> w;) words.push_back(w);
  return words;
}

// What follows the first `n` words, spaces inside it kept.
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

std::string without_end(std::string line) {
  line.erase(line.find_last_not_of(" \t\r\n") + 1);
  return line;
}

}  // namespace

Repl::Repl(ReplSetup setup, RunnerConnection& runner, LineSource& lines, Console& console)
    : file_(std::move(setup.file)),
      info_(std::move(setup.info)),
      chat_(std::move(setup.chat)),
      view_(setup.view),
      runner_(runner),
      lines_(lines),
      console_(console) {}

void Repl::say(std::string_view text) { console_.out(printable(text) + "\n"); }

int64_t Repl::num_ctx() const { return number_of(chat_.options, "num_ctx", number_of(info_, "num_ctx")); }

int Repl::run() {
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

bool Repl::take_line(const std::string& line) {
  if (pending_ == Pending::kNone) {
    // A pasted text that begins with a slash is a text; only a system message may span lines.
    const bool is_command =
        line.starts_with('/') && (line.find('\n') == std::string::npos || line.starts_with("/set system "));
    if (is_command) return command(without_end(line));
    pending_ = Pending::kMessage;
  }
  if (text_.feed(pending_ == Pending::kMessage && !text_.open() ? without_end(line) : line)) finish_text();
  return true;
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
  const auto answer = chat_.ask(text, runner_, view_, num_ctx(), console_);
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
  else if (name == "/list" || name == "/load" || name == "/save")
    say(kNoStore);
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
    console_.err(set_help_page());
  else if (topic == "show" || topic == "/show")
    console_.err(show_help_page());
  else if (topic == "shortcut" || topic == "shortcuts")
    console_.err(shortcuts_help_page());
  else
    console_.err(help_page());
}

void Repl::set(const std::string& line, const std::vector<std::string>& words) {
  const std::string what = words.size() > 1 ? words[1] : "";
  const auto mode = [&] { say(fmt::format("Set '{}' mode.", what)); };
  if (what.empty()) {
    console_.err(set_help_page());
  } else if (what == "parameter") {
    set_parameter(words);
  } else if (what == "system") {
    const std::string text = after_words(line, 2);
    if (text.empty()) {
      console_.err(set_help_page());
      return;
    }
    pending_ = Pending::kSystem;
    if (text_.feed(text)) finish_text();
  } else if (what == "history" || what == "nohistory") {
    lines_.keep_history(what == "history");
    mode();
  } else if (what == "wordwrap" || what == "nowordwrap") {
    view_.word_wrap = what == "wordwrap";
    mode();
  } else if (what == "verbose" || what == "quiet") {
    view_.verbose = what == "verbose";
    mode();
  } else if (what == "format") {
    if (words.size() > 2 && words[2] == "json")
      say("JSON output is not supported yet: the format stays as it is.");
    else
      say("Invalid or missing format. For 'json' mode use '/set format json'");
  } else if (what == "noformat") {
    say("Disabled format.");
  } else if (what == "think" || what == "nothink") {
    set_think(words);
  } else {
    unknown("/set " + what);
  }
}

void Repl::set_think(const std::vector<std::string>& words) {
  if (words[1] == "nothink") return say("Set 'nothink' mode.");
  static constexpr std::array<std::string_view, 4> kLevels = {"high", "medium", "low", "max"};
  const std::string level = words.size() > 2 ? words[2] : "";
  if (!level.empty() && std::find(kLevels.begin(), kLevels.end(), level) == kLevels.end())
    return say(fmt::format("'{}' is not a level of thinking: high, medium, low or max", level));
  // No model that runs here has the capability yet; the spelling is Ollama's.
  console_.err_line(fmt::format("warning: model \"{}\" does not support thinking output", file_));
  say(level.empty() ? "Set 'think' mode." : fmt::format("Set 'think' mode to '{}'.", level));
}

void Repl::set_parameter(const std::vector<std::string>& words) {
  if (words.size() < 4) {
    console_.err(parameters_help_page());
    return;
  }
  const auto refuse = [&](const std::string& why) {
    say(fmt::format("Couldn't set parameter: \"{}\"", why));
  };
  const std::string& name = words[2];
  const std::vector<std::string> values(words.begin() + 3, words.end());
  const RunOption* option = find_run_option(name);
  if (option == nullptr) {
    if (is_option_without_effect(name)) return refuse(fmt::format("parameter '{}' has no effect here", name));
    return refuse(fmt::format("unknown parameter '{}'", name));
  }
  if (option->at_load)
    return refuse(fmt::format("{} belongs to the loaded model: leave and give it as a flag", name));
  const auto value = read_option(*option, values);
  if (!value) {
    if (!value.error().wrong_kind) return refuse(name + " " + value.error().sentence);
    std::string all;
    for (const std::string& v : values) all += (all.empty() ? "" : " ") + v;
    return refuse(fmt::format("invalid {} value [{}]", kind_name(option->kind), all));
  }
  const int64_t trained = number_of(info_, "n_ctx_train");
  if (name == "num_ctx" && trained > 0 && value->get<int64_t>() > trained)
    return refuse(fmt::format("num_ctx {} is more than the {} tokens this model was trained for",
                              value->get<int64_t>(), trained));
  chat_.options[name] = *value;
  say(fmt::format("Set parameter '{}' to '{}'", name, show_value(*value)));
}

void Repl::show_parameters() {
  say("Model defined parameters:\n  No additional parameters were specified for this model.\n");
  if (chat_.options.empty()) return;
  say("User defined parameters:");
  for (const auto& [name, value] : chat_.options.items())
    say(fmt::format("  {:<30} {}", name, show_value(value)));
  say("");
}

void Repl::show(const std::string& line, const std::vector<std::string>& words) {
  const std::string what = words.size() > 1 ? words[1] : "";
  const auto text_or = [&](const std::string& text, const char* none) {
    say(text.empty() ? none : text + "\n");
  };
  if (what.empty()) {
    console_.err(show_help_page());
  } else if (what == "info") {
    console_.out(printable(info_text(info_, file_, chat_.system(), chat_.options)));
  } else if (what == "license") {
    text_or(text_of(info_, "license"), "No license was specified for this model.");
  } else if (what == "modelfile") {
    say(modelfile_text(info_, file_, chat_.system(), chat_.options));
  } else if (what == "parameters") {
    show_parameters();
  } else if (what == "system") {
    text_or(chat_.system(), "No system message was specified for this model.");
  } else if (what == "template") {
    const std::string& own = chat_.template_text;
    text_or(own.empty() ? text_of(info_, "chat_template") : own,
            "No prompt template was specified for this model.");
  } else {
    unknown(line);
  }
}

}  // namespace quipu::cli
