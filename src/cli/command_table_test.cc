#include "cli/command_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <set>

#include "cli/arguments.h"
#include "cli/completion.h"
#include "cli/help_page.h"
#include "cli/man_page.h"
#include "cli/run_options.h"
#include "modelfile/parameters.h"

namespace quipu::cli {

namespace {

const Command& command(const char* name) { return *find_command(name); }

std::string refusal(const char* name, std::vector<std::string> args) {
  const auto a = parse_arguments(command(name), args);
  return a ? "accepted" : a.error().message;
}

TEST(CommandTable, NamesAreUnambiguous) {
  std::set<std::string> names;
  for (const Command& c : command_table()) {
    EXPECT_TRUE(names.insert(c.name).second) << c.name;
    for (const std::string& alias : c.aliases) EXPECT_TRUE(names.insert(alias).second) << alias;
    EXPECT_LE(c.least, c.most) << c.name;
    std::set<std::string> flags = {"help"};
    std::set<char> letters = {0, 'h'};
    for (const Flag& f : all_flags(c)) {
      EXPECT_TRUE(flags.insert(f.name).second) << c.name << " --" << f.name;
      EXPECT_TRUE(f.letter == 0 || letters.insert(f.letter).second) << c.name << " -" << f.letter;
      EXPECT_EQ(f.value.empty(), f.takes == Takes::kNothing) << c.name << " --" << f.name;
      EXPECT_FALSE(f.help.empty()) << c.name << " --" << f.name;
    }
    EXPECT_TRUE(!c.is_shown() || !c.summary.empty()) << c.name;
    for (const std::string& v : c.variables) EXPECT_NE(find_variable(v), nullptr) << v;
  }
  EXPECT_EQ(find_command("ls")->name, "list");
  EXPECT_EQ(find_command("start")->name, "serve");
  EXPECT_EQ(find_command(""), nullptr);
}

TEST(CommandTable, EveryFlagIsInEveryForm) {
  for (const Command& c : command_table()) {
    if (!c.is_shown()) continue;
    const std::string help = help_page(c), man = man_page(c, "1");
    EXPECT_NE(help_page().find("\n  " + c.name + " "), std::string::npos) << c.name;
    EXPECT_NE(man_page("1").find("quipu\\-" + c.name + "\\fR(1)"), std::string::npos) << c.name;
    for (const std::string& script : {bash_completion(), zsh_completion(), fish_completion()})
      EXPECT_NE(script.find(c.name), std::string::npos) << c.name;
    for (const Flag& f : all_flags(c)) {
      std::string in_man = "--" + f.name;
      for (size_t at = 0; (at = in_man.find('-', at)) != std::string::npos; at += 2) in_man.insert(at, "\\");
      EXPECT_NE(help.find("--" + f.name), std::string::npos) << c.name << " " << f.name;
      EXPECT_NE(man.find(in_man), std::string::npos) << c.name << " " << f.name;
      EXPECT_NE(bash_completion().find("--" + f.name), std::string::npos) << c.name << " " << f.name;
      EXPECT_NE(zsh_completion().find("--" + f.name), std::string::npos) << c.name << " " << f.name;
      EXPECT_NE(fish_completion().find(" -l " + f.name + " "), std::string::npos) << c.name << " " << f.name;
    }
  }
}

TEST(CommandTable, HelpPages) {
  EXPECT_EQ(help_page(command("cp")),
            "Give a model another name\n\nUsage:\n  quipu cp SOURCE DESTINATION\n\nFlags:\n"
            "  -h, --help                     this page\n\nEnvironment Variables:\n"
            "      QUIPU_HOST, OLLAMA_HOST    where the server is: HOST, HOST:PORT, http://HOST:PORT/PATH or "
            "unix:///PATH "
            "(default 127.0.0.1:11434)\n"
            "      QUIPU_API_KEY              the key that the server asks for (default: none)\n");
  const std::string list = help_page(command("list"));
  EXPECT_NE(list.find("Usage:\n  quipu list [PREFIX] [flags]\n\nAliases:\n  list, ls\n"), std::string::npos)
      << list;
  EXPECT_NE(help_page(command("create")).find("  -f, --file FILE"), std::string::npos);
  EXPECT_NE(help_page(command("run")).find("      --think[=LEVEL]"), std::string::npos);
  EXPECT_NE(help_page(command("run")).find("      --num-ctx N "), std::string::npos);
  EXPECT_EQ(help_page().find("signin"), std::string::npos);
  EXPECT_EQ(help_page().find("runner"), std::string::npos);
}

TEST(CommandTable, HelpNamesWhatTheEnvironmentDecides) {
  const auto lists = [](const char* of, const std::string& variable) {
    return help_page(command(of)).find("\n      " + variable) != std::string::npos;
  };
  // Every variable of the server's that is ours.
  for (const std::string name :
       {"QUIPU_HOST", "QUIPU_MODELS", "QUIPU_MEMORY", "QUIPU_MEMORY_RESERVE", "QUIPU_KV_CACHE_TYPE",
        "QUIPU_NUM_PARALLEL", "QUIPU_THREADS", "QUIPU_API_KEY", "QUIPU_PRELOAD", "QUIPU_REQUEST_TIMEOUT",
        "QUIPU_LOG_FORMAT", "QUIPU_ISA", "QUIPU_PREFIX_CACHE", "QUIPU_IDLE_TRIM"}) {
    ASSERT_NE(find_variable(name), nullptr) << name;
    EXPECT_TRUE(lists("serve", name + " ") || lists("serve", name + ",") || lists("serve", name + "\n"))
        << name;
  }
  for (const char* of : {"serve", "run", "plan", "fit", "doctor"})
    for (const char* name : {"QUIPU_MEMORY ", "QUIPU_MEMORY_RESERVE "})
      EXPECT_TRUE(lists(of, name)) << of << " " << name;
}

TEST(CommandTable, ManualPagesAreCleanRoff) {
  const Command odd{.name = "odd", .summary = "a-b \\ c", .details = ".start\n'quote\n\nlast"};
  const std::string page = man_page(odd, "1.2.3");
  EXPECT_NE(
      page.find(".TH QUIPU\\-ODD 1 \"\" \"quipu 1.2.3\" \"Quipu\"\n.SH NAME\nquipu\\-odd \\- a\\-b \\e c\n"),
      std::string::npos)
      << page;
  EXPECT_NE(page.find("\\&.start\n\\&'quote\n.PP\nlast\n"), std::string::npos) << page;
}

// A script on standard input of a shell that only reads it.
bool shell_reads(const char* shell, const std::string& script) {
  FILE* pipe = popen((std::string(shell) + " -n").c_str(), "w");
  if (pipe == nullptr) return false;
  std::fwrite(script.data(), 1, script.size(), pipe);
  return pclose(pipe) == 0;
}

TEST(Completion, ShellsCanReadTheScripts) {
  EXPECT_TRUE(shell_reads("bash", bash_completion()));
  EXPECT_FALSE(shell_reads("bash 2> /dev/null", "case x in"));
  if (std::system("command -v zsh > /dev/null") == 0) {
    EXPECT_TRUE(shell_reads("zsh", zsh_completion()));
  }
  if (std::system("command -v fish > /dev/null") == 0) {
    EXPECT_TRUE(shell_reads("fish", fish_completion()));
  }
  EXPECT_TRUE(completion_for("bash") && completion_for("zsh") && completion_for("fish"));
  EXPECT_FALSE(completion_for("tcsh"));
}

// What bash offers for a line, the cursor at its end.
std::string offered(const std::string& line) {
  const std::string script = testing::TempDir() + "quipu-completion-test.bash";
  std::ofstream(script) << bash_completion()
                        << "quipu() { printf 'NAME ID\\nsmol:latest 1\\nsmol:q4 2\\nother:latest 3\\n'; }\n"
                        << "COMP_LINE=$1 COMP_POINT=${#1}; _quipu; echo \"${COMPREPLY[*]}\"\n";
  FILE* pipe = popen(("bash " + script + " '" + line + "'").c_str(), "r");
  std::array<char, 65536> out{};
  const size_t n = pipe != nullptr ? std::fread(out.data(), 1, out.size(), pipe) : 0;
  if (pipe != nullptr) pclose(pipe);
  std::remove(script.c_str());
  std::string text(out.data(), n);
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

TEST(Completion, BashOffersWhatFits) {
  EXPECT_EQ(offered("quipu pu"), "pull push");
  EXPECT_EQ(offered("quipu --v"), "--version");
  EXPECT_EQ(offered("quipu show smol:"), "latest q4");  // what stands before the colon is there
  EXPECT_EQ(offered("quipu rm ot"), "other:latest");
  EXPECT_EQ(offered("quipu ls smol:l"), "latest");
  EXPECT_EQ(offered("quipu run --num-p"), "--num-predict");
  EXPECT_EQ(offered("quipu run --think=h"), "high");
  EXPECT_EQ(offered("quipu run m --format "), "json");
  EXPECT_EQ(offered("quipu create m -q Q4"), "Q4_K_S Q4_K_M");
  EXPECT_EQ(offered("quipu create m -f "), "");
  EXPECT_EQ(offered("quipu completion "), "bash zsh fish");
  EXPECT_EQ(offered("quipu help perp"), "perplexity");
  EXPECT_EQ(offered("quipu bogus x"), "");
}

TEST(Arguments, CountsWords) {
  EXPECT_EQ(refusal("show", {}), "accepts 1 arg(s), received 0");
  EXPECT_EQ(refusal("cp", {"a"}), "accepts 2 arg(s), received 1");
  EXPECT_EQ(refusal("rm", {}), "requires at least 1 arg(s), only received 0");
  EXPECT_EQ(refusal("list", {"a", "b"}), "accepts at most 1 arg(s), received 2");
  EXPECT_EQ(refusal("rm", {"a", "b", "c"}), "accepted");
}

TEST(Arguments, Flags) {
  const std::vector<std::string> args = {"m", "-f", "a", "--file=b", "-q=Q8_0", "--draft-quantize", "F16"};
  const auto a = parse_arguments(command("create"), args);
  ASSERT_TRUE(a) << a.error().message;
  EXPECT_EQ(a->words, (std::vector<std::string>{"m"}));
  EXPECT_EQ(a->value("file"), "b");  // the last one counts
  EXPECT_EQ(a->value("quantize"), "Q8_0");
  EXPECT_EQ(a->value("draft-quantize"), "F16");
  EXPECT_EQ(a->value("experimental"), std::nullopt);

  const std::vector<std::string> more = {"-v", "m", "--license=false", "--system"};
  const auto b = parse_arguments(command("show"), more);
  ASSERT_TRUE(b);
  EXPECT_TRUE(b->on("verbose"));
  EXPECT_FALSE(b->on("license"));
  EXPECT_TRUE(b->on("system"));
  EXPECT_FALSE(b->on("template"));
  EXPECT_EQ(refusal("show", {"m", "--bogus"}), "unknown flag: --bogus (quipu show --help lists them)");
  EXPECT_EQ(refusal("show", {"m", "-x"}), "unknown flag: -x (quipu show --help lists them)");
  EXPECT_EQ(refusal("show", {"m", "-vx"}), "unknown flag: -vx (quipu show --help lists them)");
  EXPECT_EQ(refusal("show", {"m", "--verbose=maybe"}),
            "--verbose is on or off: it takes =true or =false, not 'maybe'");
  EXPECT_EQ(refusal("create", {"m", "-f"}), "--file needs a value");
  const std::vector<std::string> fused = {"m", "-fX"};
  EXPECT_EQ(parse_arguments(command("create"), fused)->value("file"), "X");
}

TEST(Arguments, HelpAnywhere) {
  for (const std::vector<std::string>& args :
       {std::vector<std::string>{"-h"}, {"--help"}, {"a", "b", "c", "-h"}})
    EXPECT_TRUE(parse_arguments(command("show"), args)->help);
}

// One table for flags, another for Modelfiles: what one has the other must know.
TEST(RunOptionTable, AgreesWithModelfiles) {
  using modelfile::ParameterType;
  for (const modelfile::Parameter& p : modelfile::parameters()) {
    const RunOption* o = find_run_option(p.name);
    EXPECT_TRUE((o != nullptr) != is_option_without_effect(p.name)) << p.name;
    if (o == nullptr) continue;
    const bool same = (p.type == ParameterType::kInteger && o->kind == OptionKind::kInteger) ||
                      (p.type == ParameterType::kFloat && o->kind == OptionKind::kNumber) ||
                      (p.type == ParameterType::kBoolean && o->kind == OptionKind::kBoolean) ||
                      (p.type == ParameterType::kText && o->kind == OptionKind::kText) ||
                      (p.type == ParameterType::kTexts && o->kind == OptionKind::kTexts);
    EXPECT_TRUE(same) << p.name;
  }
  for (const RunOption& o : run_options()) EXPECT_NE(modelfile::find_parameter(o.name), nullptr) << o.name;
}

}  // namespace

}  // namespace quipu::cli
