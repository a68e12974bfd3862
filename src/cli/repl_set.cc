// /set and /show of a conversation.
#include <algorithm>
#include <array>

#include "cli/repl.h"
#include "cli/repl_help.h"
#include "cli/run_options.h"
#include "modelfile/parameters.h"

namespace quipu::cli {

void Repl::set(const std::string& line, const std::vector<std::string>& words) {
  const std::string what = words.size() > 1 ? words[1] : "";
  const auto mode = [&] { say(fmt::format("Set '{}' mode.", what)); };
  if (what.empty()) {
    console_.err_page(set_help_page());
  } else if (what == "parameter") {
    set_parameter(words);
  } else if (what == "system") {
    const std::string text = after_words(line, 2);
    if (text.empty()) return console_.err_page(set_help_page());
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
    set_format(words);
  } else if (what == "noformat") {
    chat_.format = Json();
    say("Disabled format.");
  } else if (what == "think" || what == "nothink") {
    set_think(words);
  } else {
    unknown("/set " + what);
  }
}

void Repl::set_format(const std::vector<std::string>& words) {
  if (words.size() != 3 || words[2] != "json")
    return say("Invalid or missing format. For 'json' mode use '/set format json'");
  chat_.format = "json";
  say("Set format to 'json' mode.");
}

void Repl::set_think(const std::vector<std::string>& words) {
  if (words[1] == "nothink") {
    chat_.think = false;
    return say("Set 'nothink' mode.");
  }
  static constexpr std::array<std::string_view, 4> kLevels = {"high", "medium", "low", "max"};
  const std::string level = words.size() > 2 ? words[2] : "";
  if (!level.empty() && std::ranges::find(kLevels, level) == kLevels.end())
    return say(fmt::format("'{}' is not a level of thinking: high, medium, low or max", level));
  if (!model_.can("thinking"))
    console_.err_line(fmt::format("warning: model \"{}\" does not support thinking output", model_.name));
  chat_.think = level.empty() ? Json(true) : Json(level);
  say(level.empty() ? "Set 'think' mode." : fmt::format("Set 'think' mode to '{}'.", level));
}

void Repl::set_parameter(const std::vector<std::string>& words) {
  if (words.size() < 4) return console_.err_page(parameters_help_page());
  const auto refuse = [&](const std::string& why) {
    say(fmt::format("Couldn't set parameter: \"{}\"", why));
  };
  const std::string& name = words[2];
  const std::vector<std::string> values(words.begin() + 3, words.end());
  const RunOption* option = find_run_option(name);
  Json value;
  if (option != nullptr) {
    auto read = read_option(*option, values);
    if (!read && !read.error().wrong_kind) return refuse(name + " " + read.error().sentence);
    if (!read) {
      std::string all;
      for (const std::string& v : values) all += (all.empty() ? "" : " ") + v;
      return refuse(fmt::format("invalid {} value [{}]", kind_name(option->kind), all));
    }
    value = std::move(*read);
  } else {
    auto read = modelfile::parse_parameter(name, values);
    if (!read) return refuse(read.error().message);
    value = Json(*read);
    // An Ollama heeds more of them, and so may the model that is saved.
    if (is_option_without_effect(name) && model_.api->version().is_quipu())
      console_.err_line(fmt::format("warning: parameter '{}' has no effect here", name));
  }
  const int64_t trained = trained_context(model_.shown);
  if (name == "num_ctx" && trained > 0 && value.get<int64_t>() > trained)
    return refuse(fmt::format("num_ctx {} is more than the {} tokens this model was trained for",
                              value.get<int64_t>(), trained));
  chat_.options[name] = value;
  say(fmt::format("Set parameter '{}' to '{}'", name, show_value(value)));
}

void Repl::show_parameters(const Json& shown) {
  say("Model defined parameters:");
  const std::string own = text_of(shown, "parameters");
  if (own.empty()) say("  No additional parameters were specified for this model.");
  for (size_t at = 0; at < own.size();) {
    const size_t end = std::min(own.find('\n', at), own.size());
    say("  " + own.substr(at, end - at));
    at = end + 1;
  }
  say("");
  if (chat_.options.empty()) return;
  say("User defined parameters:");
  for (const auto& [name, value] : chat_.options.items())
    say(fmt::format("  {:<30} {}", name, show_value(value)));
  say("");
}

void Repl::show(const std::string& line, const std::vector<std::string>& words) {
  const std::string what = words.size() > 1 ? words[1] : "";
  static constexpr std::array<std::string_view, 6> kKnown = {"info",       "license", "modelfile",
                                                             "parameters", "system",  "template"};
  if (what.empty()) return console_.err_page(show_help_page());
  if (std::ranges::find(kKnown, what) == kKnown.end()) return unknown(line);

  // What the session has set is shown with what the model has.
  Json request = {{"model", model_.name}};
  if (const std::string system = chat_.system(); !system.empty()) request["system"] = system;
  if (!chat_.options.empty()) request["options"] = chat_.options;
  const auto shown = model_.api->call("POST", "/api/show", request);
  if (!shown) return console_.report(shown.error());
  const auto text_or = [&](const std::string& text, const char* none) {
    say(text.empty() ? none : text + "\n");
  };
  if (what == "info")
    console_.out_text(show_text(*shown, false));
  else if (what == "license")
    text_or(text_of(*shown, "license"), "No license was specified for this model.");
  else if (what == "modelfile")
    say(text_of(*shown, "modelfile"));
  else if (what == "parameters")
    show_parameters(*shown);
  else if (what == "system")
    text_or(chat_.system().empty() ? text_of(*shown, "system") : chat_.system(),
            "No system message was specified for this model.");
  else
    text_or(chat_.template_text.empty() ? text_of(*shown, "template") : chat_.template_text,
            "No prompt template was specified for this model.");
}

}  // namespace quipu::cli
