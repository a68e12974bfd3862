#include "cli/repl_help.h"

#include "cli/run_options.h"

namespace quipu::cli {

std::string help_page_of_conversation() {
  return R"(Available Commands:
  /set            Set session variables
  /show           Show model information
  /list           List the models in the store
  /load <model>   Load a session or model
  /save <model>   Save your current session
  /clear          Clear session context
  /bye            Exit
  /?, /help       Help for a command
  /? shortcuts    Help for keyboard shortcuts

Use """ to begin a multi-line message.

)";
}

std::string set_help_page() {
  return R"(Available Commands:
  /set parameter ...     Set a parameter
  /set system <string>   Set system message
  /set history           Enable history
  /set nohistory         Disable history
  /set wordwrap          Enable wordwrap
  /set nowordwrap        Disable wordwrap
  /set format json       Enable JSON mode
  /set noformat          Disable formatting
  /set verbose           Show timings and memory
  /set quiet             Disable timings and memory
  /set think             Enable thinking
  /set nothink           Disable thinking

)";
}

std::string show_help_page() {
  return R"(Available Commands:
  /show info         Show details for this model
  /show license      Show model license
  /show modelfile    Show Modelfile for this model
  /show parameters   Show parameters for this model
  /show system       Show system message
  /show template     Show prompt template

)";
}

std::string shortcuts_help_page() {
  return R"(Available keyboard shortcuts:
  Ctrl + a            Move to the beginning of the line (Home)
  Ctrl + e            Move to the end of the line (End)
   Alt + b            Move back (left) one word
   Alt + f            Move forward (right) one word
  Ctrl + k            Delete from the cursor to the end
  Ctrl + u            Delete from the start to the cursor
  Ctrl + w            Delete the word before the cursor

  Ctrl + j            Start a new line in the message
  Ctrl + g            Edit the message in your editor
  Ctrl + p, Ctrl + n  Earlier and later lines (arrow keys)
  Ctrl + l            Clear the screen
  Ctrl + c            Stop the model from responding
  Ctrl + d            Leave (/bye)

)";
}

std::string parameters_help_page() {
  std::string out = "Available Parameters, each as /set parameter NAME VALUE:\n";
  for (const RunOption& o : run_options()) {
    const char* more = o.kind == OptionKind::kTexts ? " ..." : "";
    out += fmt::format("  {:<26} {}\n", fmt::format("{} <{}>{}", o.name, kind_name(o.kind), more), o.help);
  }
  return out + "\n";
}

}  // namespace quipu::cli
