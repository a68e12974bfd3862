#include "cli/command_table.h"

#include <algorithm>

#include "cli/run_options.h"

namespace quipu::cli {

namespace {

Flag switch_flag(std::string name, std::string help, char letter = 0) {
  return {.name = std::move(name), .letter = letter, .value = {}, .help = std::move(help)};
}

Flag value_flag(std::string name, std::string value, std::string help,
                std::vector<std::string> choices = {}) {
  return {.name = std::move(name),
          .takes = Takes::kValue,
          .value = std::move(value),
          .help = std::move(help),
          .choices = std::move(choices)};
}

Flag file_flag(std::string name, std::string value, std::string help, char letter = 0) {
  Flag f = value_flag(std::move(name), std::move(value), std::move(help));
  f.letter = letter;
  f.files = true;
  return f;
}

Flag number_flag(std::string name, std::string help) {
  return value_flag(std::move(name), "N", std::move(help));
}

Flag json_flag() { return switch_flag("json", "one JSON object, as the server gave it"); }
Flag insecure_flag() { return switch_flag("insecure", "speak plain HTTP to the registry"); }
std::vector<std::string> of_clients() { return {"QUIPU_HOST", "QUIPU_API_KEY"}; }

Command run() {
  Flag think{.name = "think",
             .takes = Takes::kMaybe,
             .value = "LEVEL",
             .help = "let the model think first: true, false, low, medium, high or max; alone: true",
             .choices = {"true", "false", "low", "medium", "high", "max"}};
  return {
      .name = "run",
      .arguments = "MODEL|FILE [PROMPT...]",
      .least = 1,
      .most = kAnyNumber,
      .summary = "Chat with a model, or answer one prompt",
      .details =
          "MODEL is a name in the server's store; one that is not there is pulled. FILE is a GGUF file (the "
          "first\n"
          "part of a split one), which runs in a private server of this command. Where no server listens, a "
          "MODEL\n"
          "gets a private server too, on your own store.\n"
          "\n"
          "Without a prompt, on a terminal, a conversation starts: /? lists its commands. What is piped in "
          "stands\n"
          "in front of the prompt. Images are attached by their path in the prompt: ./cat.png. A model for\n"
          "embeddings answers with a vector. -- ends the flags.",
      .flags = {value_flag("system", "TEXT", "system message"),
                value_flag("template", "TEXT|@FILE", "Go template, in place of the model's own"),
                switch_flag("raw", "the prompt goes to the model as it is, without a template"),
                value_flag("format", "json|SCHEMA",
                           "form of the answer: any JSON object, or by a JSON schema", {"json"}),
                std::move(think),
                switch_flag("hidethinking", "show the answer alone"),
                switch_flag("verbose", "timings and memory after each answer, on standard error"),
                switch_flag("nowordwrap", "leave line breaks to the terminal"),
                value_flag("keepalive", "DURATION",
                           "how long the model stays loaded afterwards: 5m, 0, -1m (for ever)"),
                insecure_flag(),
                {.name = "truncate",
                 .takes = Takes::kMaybe,
                 .value = "BOOL",
                 .help = "embeddings: cut a text that is too long (default true); false: refuse it",
                 .choices = {"true", "false"}},
                number_flag("dimensions", "embeddings: only the first N dimensions"),
                switch_flag("no-repeat-guard", "do not end an answer that only repeats itself")},
      .takes_run_options = true,
      .variables = {"QUIPU_HOST", "QUIPU_API_KEY", "QUIPU_MEMORY", "QUIPU_MEMORY_RESERVE", "QUIPU_HISTORY",
                    "QUIPU_NOHISTORY", "QUIPU_EDITOR", "NO_COLOR"},
      .words = Words::kModelsOrFiles};
}

std::vector<Command> server_commands() {
  return {
      {.name = "serve",
       .aliases = {"start"},
       .kind = Kind::kOwnParser,
       .summary = "Run the server, in the foreground",
       .details = "It has no flags: the environment says where it listens and how it works. Ctrl-C or "
                  "SIGTERM ends it.",
       .variables =
           {"QUIPU_HOST",         "QUIPU_API_KEY",      "QUIPU_ORIGINS",         "QUIPU_MODELS",
            "QUIPU_PRELOAD",      "QUIPU_KEEP_ALIVE",   "QUIPU_CONTEXT_LENGTH",  "QUIPU_KV_CACHE_TYPE",
            "QUIPU_NUM_PARALLEL", "QUIPU_MEMORY",       "QUIPU_MEMORY_RESERVE",  "QUIPU_MAX_LOADED_MODELS",
            "QUIPU_MAX_QUEUE",    "QUIPU_LOAD_TIMEOUT", "QUIPU_REQUEST_TIMEOUT", "QUIPU_THREADS",
            "QUIPU_ISA",          "QUIPU_PREFIX_CACHE", "QUIPU_IDLE_TRIM",       "QUIPU_NOPRUNE",
            "QUIPU_GO_TEMPLATE",  "QUIPU_DEBUG",        "QUIPU_LOG_FORMAT"}},
      run(),
      {.name = "ps",
       .arguments = "[PREFIX]",
       .most = 1,
       .summary = "List the models that are loaded",
       .flags = {switch_flag("verbose",
                             "their memory by category, planned and measured; the server's; the budget", 'v'),
                 switch_flag("watch", "again every second, until Ctrl-C"), json_flag()},
       .variables = of_clients(),
       .words = Words::kModels},
      {.name = "stop",
       .arguments = "MODEL",
       .least = 1,
       .most = 1,
       .summary = "Unload a model",
       .variables = of_clients(),
       .words = Words::kModels},
  };
}

std::vector<Command> store_commands() {
  return {
      {.name = "list",
       .aliases = {"ls"},
       .arguments = "[PREFIX]",
       .most = 1,
       .summary = "List the models in the store",
       .flags = {json_flag()},
       .variables = of_clients(),
       .words = Words::kModels},
      {.name = "show",
       .arguments = "MODEL",
       .least = 1,
       .most = 1,
       .summary = "Show what a model is",
       .details =
           "One of --license, --modelfile, --parameters, --system and --template prints that text alone.",
       .flags = {switch_flag("license", "its license"),
                 switch_flag("modelfile", "the Modelfile it can be made from again"),
                 switch_flag("parameters", "its parameters"), switch_flag("system", "its system message"),
                 switch_flag("template", "its template"),
                 switch_flag("verbose", "its metadata and tensors as well", 'v'), json_flag()},
       .variables = of_clients(),
       .words = Words::kModels},
      {.name = "create",
       .arguments = "MODEL",
       .least = 1,
       .most = 1,
       .summary = "Create a model from a Modelfile",
       .details = "Files that the Modelfile names are uploaded, unless the server has them already. Paths in "
                  "it are\n"
                  "relative to where it lies.",
       .flags = {file_flag("file", "FILE", "the Modelfile; default Modelfile; - is standard input", 'f'),
                 [] {
                   Flag f =
                       value_flag("quantize", "TYPE", "quantise an F16, BF16 or F32 model: Q4_K_M, Q8_0, ...",
                                  {"F16", "BF16", "Q8_0", "Q4_K_S", "Q4_K_M"});
                   f.letter = 'q';
                   return f;
                 }(),
                 value_flag("draft-quantize", "TYPE", "the same for the model named by DRAFT")},
       .variables = of_clients(),
       .words = Words::kModels},
      {.name = "cp",
       .arguments = "SOURCE DESTINATION",
       .least = 2,
       .most = 2,
       .summary = "Give a model another name",
       .variables = of_clients(),
       .words = Words::kModels},
      {.name = "rm",
       .arguments = "MODEL...",
       .least = 1,
       .most = kAnyNumber,
       .summary = "Remove models",
       .variables = of_clients(),
       .words = Words::kModels},
      {.name = "pull",
       .arguments = "MODEL",
       .least = 1,
       .most = 1,
       .summary = "Fetch a model from a registry",
       .flags = {insecure_flag()},
       .variables = of_clients()},
      {.name = "push",
       .arguments = "MODEL",
       .least = 1,
       .most = 1,
       .summary = "Send a model to a registry",
       .flags = {insecure_flag()},
       .variables = of_clients(),
       .words = Words::kModels},
  };
}

std::vector<Command> workbench_commands() {
  const Flag threads = number_flag("threads", "threads; default: physical cores");
  const Flag kv = value_flag("kv-cache-type", "T", "f16, bf16, q8_0, q4_0, f32 or K:V",
                             {"f16", "bf16", "q8_0", "q4_0", "f32"});
  const Flag json = switch_flag("json", "one JSON object");
  const Flag activations = value_flag("activations", "T", "int8, or f32 for comparison", {"int8", "f32"});
  const auto command = [](const char* name, const char* arguments, const char* summary,
                          std::vector<Flag> flags) {
    return Command{.name = name,
                   .kind = Kind::kOwnParser,
                   .arguments = arguments,
                   .most = kAnyNumber,
                   .summary = summary,
                   .flags = std::move(flags),
                   .variables = {"QUIPU_THREADS", "QUIPU_ISA"},
                   .words = Words::kFiles};
  };
  Command plan = command(
      "plan", "MODEL|FILE", "What a model will take, category by category, before it is loaded",
      {number_flag("num-ctx", "tokens of one sequence; default: the model's own, as far as memory allows"),
       number_flag("parallel", "sequences at once"), kv, threads, json});
  for (const char* name : {"QUIPU_MEMORY", "QUIPU_MEMORY_RESERVE", "QUIPU_MODELS"})
    plan.variables.emplace_back(name);
  plan.words = Words::kModelsOrFiles;
  Command doctor = command("doctor", "", "What holds this machine back, and what to do about it", {json});
  doctor.variables = {"QUIPU_HOST",   "QUIPU_API_KEY",        "QUIPU_THREADS", "QUIPU_ISA",
                      "QUIPU_MEMORY", "QUIPU_MEMORY_RESERVE", "QUIPU_MODELS"};
  doctor.words = Words::kNothing;
  doctor.most = 0;
  Command fit =
      command("fit", "[MODEL|FILE]", "Which size and quantisation of a model suits this machine",
              {value_flag("params", "N", "in place of a model: its number of parameters, such as 8b",
                          {"1b", "3b", "8b", "14b", "32b", "70b"}),
               value_flag("quant", "TYPE", "only this quantisation, such as q4_k_m",
                          {"f16", "q8_0", "q6_k", "q4_k_m", "q4_k_s", "q4_0"}),
               switch_flag("json", "a list of plans, one for each combination")});
  for (const char* name : {"QUIPU_MEMORY", "QUIPU_MEMORY_RESERVE", "QUIPU_MODELS"})
    fit.variables.emplace_back(name);
  fit.words = Words::kModelsOrFiles;
  return {
      std::move(plan),
      std::move(fit),
      std::move(doctor),
      command("bench", "FILE", "Speed of a model, beside what this machine can do at most",
              {number_flag("prompt", "tokens to prefill"), number_flag("gen", "tokens to decode"),
               number_flag("depth", "tokens in the cache before"),
               number_flag("batch", "sequences decoded at once"), threads, kv,
               number_flag("repeat", "runs; the median counts"), json,
               switch_flag("machine", "only the machine's limits")}),
      command("tokenize", "FILE [TEXT]", "Text to tokens and back",
              {file_flag("file", "FILE", "read the text from a file"),
               switch_flag("no-parse-special", "special tokens written in the text are plain text"),
               switch_flag("no-add-special", "no BOS or EOS around the text"),
               value_flag("decode", "IDS", "ids to text: 1,2,3"), json}),
      command("logits", "FILE", "Logits of given tokens, to a file",
              {value_flag("tokens", "IDS", "token ids: 1,2,3"),
               number_flag("last", "how many of the last tokens' rows to write"),
               number_flag("num-ctx", "context length"), kv, activations, threads,
               file_flag("out", "FILE", "file to write; -: standard output")}),
      command("perplexity", "FILE TEXT_FILE", "Perplexity of a text",
              {number_flag("num-ctx", "tokens of a chunk"), kv, activations,
               file_flag("kld", "FILE", "compare with logits saved before"),
               file_flag("save", "FILE", "save logits to compare with"), threads, json}),
  };
}

std::vector<Command> other_commands() {
  const auto refused = [](const char* name, const char* why) {
    return Command{.name = name, .kind = Kind::kRefused, .most = kAnyNumber, .summary = why};
  };
  const char* account = "there are no accounts here; it belongs to ollama.com";
  return {
      {.name = "version",
       .summary = "The version of this program, and of the server",
       .variables = of_clients()},
      {.name = "completion",
       .arguments = "bash|zsh|fish",
       .least = 1,
       .most = 1,
       .summary = "Print completions for a shell",
       .details = "bash:  source <(quipu completion bash)\n"
                  "zsh:   quipu completion zsh > \"${fpath[1]}/_quipu\"\n"
                  "fish:  quipu completion fish > ~/.config/fish/completions/quipu.fish",
       .words = Words::kShells},
      {.name = "help",
       .arguments = "[COMMAND]",
       .most = kAnyNumber,
       .summary = "This page, or a command's",
       .words = Words::kCommands},
      refused("signin", account),
      refused("signout", account),
      refused("login", account),
      refused("logout", account),
      refused("launch", "other programs are started by themselves; point them at the server"),
      {.name = "man", .kind = Kind::kInternal, .arguments = "[COMMAND]", .most = 1},
      {.name = "runner", .kind = Kind::kInternal, .most = kAnyNumber},
  };
}

}  // namespace

std::span<const Command> command_table() {
  static const std::vector<Command> kTable = [] {
    std::vector<Command> all;
    for (std::vector<Command> part :
         {server_commands(), store_commands(), workbench_commands(), other_commands()})
      for (Command& c : part) all.push_back(std::move(c));
    return all;
  }();
  return kTable;
}

const Command* find_command(std::string_view name_or_alias) {
  for (const Command& c : command_table())
    if (c.name == name_or_alias || std::ranges::find(c.aliases, name_or_alias) != c.aliases.end()) return &c;
  return nullptr;
}

std::vector<Flag> run_option_flags() {
  std::vector<Flag> flags;
  for (const RunOption& o : run_options()) {
    std::string name = o.name;
    std::ranges::replace(name, '_', '-');
    Flag f = value_flag(std::move(name), o.value, o.help);
    if (o.kind == OptionKind::kBoolean) f.choices = {"true", "false"};
    if (f.name == "kv-cache-type") f.choices = {"f16", "bf16", "q8_0", "q4_0", "f32"};
    flags.push_back(std::move(f));
  }
  return flags;
}

std::vector<Flag> all_flags(const Command& command) {
  std::vector<Flag> flags = command.flags;
  if (command.takes_run_options)
    for (Flag& f : run_option_flags()) flags.push_back(std::move(f));
  return flags;
}

const Flag* find_flag(std::span<const Flag> flags, std::string_view name) {
  const auto it = std::ranges::find(flags, name, &Flag::name);
  return it == flags.end() ? nullptr : &*it;
}

}  // namespace quipu::cli
