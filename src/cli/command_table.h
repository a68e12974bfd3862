// All commands in one table: how they are called, what they take, what is said about them. Parsing, help
// pages, shell completions and manual pages are made from it.
//
// Threads: the table is made on first use and never changes.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace quipu::cli {

enum class Takes {
  kNothing,  // on or off: --flag, --flag=true, --flag=false
  kValue,    // --flag VALUE, --flag=VALUE
  kMaybe,    // --flag, --flag=VALUE
};

struct Flag {
  std::string name;  // without its dashes
  char letter = 0;   // the short form; 0: none
  Takes takes = Takes::kNothing;
  std::string value;  // what --help calls the value
  std::string help;
  std::vector<std::string> choices = {};  // values that a shell may offer
  bool files = false;                     // the value is a file's name
};

// What a shell offers for a command's words.
enum class Words { kNothing, kModels, kModelsOrFiles, kFiles, kCommands, kShells };

enum class Kind {
  kClient,     // reads its arguments by this table
  kOwnParser,  // reads them itself; this table says the same
  kRefused,    // Ollama has it, and it can mean nothing here
  kInternal,   // not for people
};

struct Command {
  std::string name;
  std::vector<std::string> aliases = {};
  Kind kind = Kind::kClient;
  std::string arguments = {};  // "MODEL [PROMPT...]"
  size_t least = 0;            // words
  size_t most = 0;
  std::string summary = {};  // one line
  std::string details = {};  // paragraphs, lines of at most 100 characters
  std::vector<Flag> flags = {};
  bool takes_run_options = false;           // run_options() are flags too
  std::vector<std::string> variables = {};  // names in variables()
  Words words = Words::kNothing;

  bool is_shown() const { return kind == Kind::kClient || kind == Kind::kOwnParser; }
};

inline constexpr size_t kAnyNumber = SIZE_MAX;

std::span<const Command> command_table();
const Command* find_command(std::string_view name_or_alias);  // null: unknown

std::vector<Flag> run_option_flags();                 // run_options() as flags
std::vector<Flag> all_flags(const Command& command);  // its own, and the run options where it takes them
const Flag* find_flag(std::span<const Flag> flags, std::string_view name);

// An environment variable that commands look at.
struct EnvironmentVariable {
  std::string name;   // ours, or Ollama's where it alone has it
  std::string other;  // Ollama's name for it; empty: none
  std::string help;
};
std::span<const EnvironmentVariable> environment_variables();
const EnvironmentVariable* find_variable(std::string_view name);  // null: unknown

}  // namespace quipu::cli
