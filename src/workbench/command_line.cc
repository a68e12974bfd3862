#include "workbench/command_line.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <memory>

#include "base/environment.h"
#include "gguf/file.h"

namespace quipu::workbench {

namespace {

constexpr size_t kMostText = size_t{1} << 30;  // a file that never ends must not take all memory

// What a model file says about itself may stand in an error; it must not drive the terminal.
std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte >= 0x20 && byte != 0x7F) || c == '\n' || c == '\t') out += c;
  }
  return out;
}

int usage(const CLI::App& app, const std::string& what) {
  std::cerr << "Error: " << printable(what) << " (" << app.get_name() << " --help says how it is used)\n";
  return kUsage;
}

}  // namespace

CLI::Validator between(int64_t least, int64_t most) {
  return CLI::Validator(
      [=](std::string& text) {
        int64_t n = 0;
        const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), n);
        if (ec == std::errc() && end == text.data() + text.size() && n >= least && n <= most)
          return std::string();
        return fmt::format("'{}' is not a whole number between {} and {}", text, least, most);
      },
      "");
}

void add_threads(CLI::App& app, int& threads) {
  app.add_option("--threads", threads, "threads; 0: one for each physical core")
      ->check(between(0, 1024))
      ->envname("QUIPU_THREADS");
}

int64_t context_setting() {
  const auto v = environment({"QUIPU_CONTEXT_LENGTH", "OLLAMA_CONTEXT_LENGTH"});
  if (!v) return 0;
  const auto n = v->whole_number(0, kMostContext);
  if (!n) std::cerr << n.error().message << "; using the default\n";
  return n.value_or(0);
}

bool parse(CLI::App& app, std::span<const std::string> args, int* code) {
  app.get_formatter()->label("REQUIRED", "");
  for (CLI::Option* o : app.get_options()) {
    if (o->get_positional()) o->type_name("");
    if (o->get_type_name() == "INT") o->type_name("N");
    if (!o->get_positional()) o->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);  // as quipu run
  }
  std::vector<std::string> reversed(args.rbegin(), args.rend());  // as CLI11 wants them
  try {
    app.parse(reversed);
    return true;
  } catch (const CLI::CallForHelp&) {
    *code = std::cout << app.help() << std::flush ? kOk : kFailed;
  } catch (const CLI::ExtrasError&) {
    const std::vector<std::string> extra = app.remaining();
    const std::string first = extra.empty() ? "" : extra.front();
    const char* hint = first.starts_with('-') && first != "--"
                           ? ": it is no option; a text that begins with a dash stands after --"
                           : "";
    *code = usage(app, fmt::format("there is no place for '{}'{}", first, hint));
  } catch (const CLI::ParseError& e) {
    *code = usage(app, e.what());
  }
  return false;
}

int finish(const std::function<Result<void>()>& command) {
  gguf::guard_mappings();
  Result<void> done = command();
  if (done && !std::cout.flush()) done = error(Code::kIo, "cannot write the result to standard output");
  if (done) return kOk;
  std::string text = done.error().message;
  if (text.ends_with('\n')) text.pop_back();
  // One line, but for the table of a plan that does not fit.
  if (done.error().code != Code::kOutOfMemory) std::replace(text.begin(), text.end(), '\n', ' ');
  std::cerr << "Error: " << printable(text) << "\n";
  return done.error().code == Code::kInvalidArgument ? kUsage : kFailed;
}

Result<std::vector<int32_t>> parse_ids(const std::string& text) {
  std::vector<int32_t> ids;
  const char* p = text.data();
  const char* end = p + text.size();
  const auto refuse = [&] {
    return error(Code::kInvalidArgument, "'{}' is not a list of token ids such as 1,2,3", text);
  };
  bool wants_id = true;  // at the beginning, and after a comma
  while (p < end) {
    if (*p == ' ' || *p == '\n') {
      ++p;
      continue;
    }
    if (*p == ',') {
      if (wants_id) return refuse();
      wants_id = true;
      ++p;
      continue;
    }
    int32_t id = 0;
    const auto [next, ec] = std::from_chars(p, end, id);
    if (ec != std::errc() || id < 0 || (next < end && *next != ',' && *next != ' ' && *next != '\n'))
      return refuse();
    ids.push_back(id);
    wants_id = false;
    p = next;
  }
  if (wants_id && !ids.empty()) return refuse();
  if (ids.empty()) return error(Code::kInvalidArgument, "no token ids were given");
  return ids;
}

Result<std::string> read_text(const std::string& path) {
  const auto close = [](FILE* f) {
    if (f != stdin) std::fclose(f);
  };
  const std::unique_ptr<FILE, decltype(close)> in(path == "-" ? stdin : std::fopen(path.c_str(), "rb"),
                                                  close);
  if (in == nullptr) return error(Code::kIo, "cannot read {}: {}", path, std::strerror(errno));
  std::string text;
  char buffer[65536];
  while (true) {
    const size_t n = std::fread(buffer, 1, sizeof buffer, in.get());
    text.append(buffer, n);
    if (text.size() > kMostText)
      return error(Code::kInvalidArgument, "{} holds more than {} MiB", path == "-" ? "standard input" : path,
                   kMostText >> 20);
    if (n < sizeof buffer) break;
  }
  if (std::ferror(in.get()) != 0)
    return error(Code::kIo, "cannot read {}: {}", path == "-" ? "standard input" : path,
                 std::strerror(errno));
  return text;
}

}  // namespace quipu::workbench
