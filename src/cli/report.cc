#include "cli/report.h"

#include <algorithm>
#include <array>
#include <vector>

#include "base/units.h"

namespace quipu::cli {

namespace {

double per_second(int64_t n, int64_t ns) { return static_cast<double>(n) * 1e9 / static_cast<double>(ns); }

using Rows = std::vector<std::vector<std::string>>;

// Ollama's layout: title indented by two, rows by four, every cell padded to its column and followed by four
// spaces. A long path pads nothing, or every row would fill a line of its own on a narrow terminal.
constexpr size_t kWidest = 40;
std::string block(std::string_view title, const Rows& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows)
    for (size_t i = 0; i < row.size(); ++i) {
      if (i == widths.size()) widths.push_back(0);
      widths[i] = std::max(widths[i], row[i].size());
    }
  std::string out = fmt::format("  {}\n", title);
  for (const auto& row : rows) {
    out += "    ";
    for (size_t i = 0; i < row.size(); ++i)
      out += fmt::format("{:<{}}    ", row[i], std::min(widths[i], kWidest));
    out += "\n";
  }
  return out + "\n";
}

// The first two lines that are not blank, then an ellipsis.
Rows head_of(const std::string& text) {
  Rows rows;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    if (rows.size() == 2) {
      rows.push_back({"..."});
      break;
    }
    rows.push_back({line});
  }
  return rows;
}

Rows option_rows(const Json& options) {
  Rows rows;
  for (const auto& [name, value] : options.items()) {
    if (value.is_array())
      for (const Json& v : value)
        rows.push_back({name, v.dump(-1, ' ', false, Json::error_handler_t::replace)});
    else
      rows.push_back({name, show_value(value)});
  }
  return rows;
}

std::string bytes_of(const Json& category, const char* key) {
  const auto it = category.find(key);
  return it != category.end() && it->is_number() ? format_bytes(it->get<uint64_t>()) : "";
}

}  // namespace

int64_t number_of(const Json& object, const char* key, int64_t fallback) {
  if (!object.is_object()) return fallback;
  const auto it = object.find(key);
  if (it == object.end() || !it->is_number()) return fallback;
  if (it->is_number_float()) {
    const double d = it->get<double>();
    return d > -0x1p62 && d < 0x1p62 ? static_cast<int64_t>(d) : fallback;
  }
  return it->get<int64_t>();
}

std::string text_of(const Json& object, const char* key) {
  if (!object.is_object()) return {};
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
}

std::string metrics_text(const Json& done, int64_t load_ns) {
  std::string out;
  const auto line = [&](std::string_view label, std::string value) {
    out += fmt::format("{:<22}{}\n", label, value);
  };
  const auto duration = [&](std::string_view label, int64_t ns) {
    if (ns > 0) line(label, format_duration_ns(ns));
  };
  const int64_t prompt = number_of(done, "prompt_tokens"), cached = number_of(done, "cached_tokens");
  const int64_t generated = number_of(done, "generated_tokens");
  const int64_t prompt_ns = number_of(done, "prompt_ns"), generate_ns = number_of(done, "generate_ns");
  duration("total duration:", load_ns + number_of(done, "total_ns"));
  duration("load duration:", load_ns);
  if (prompt > 0) line("prompt eval count:", fmt::format("{} token(s)", prompt));
  if (cached > 0) line("prompt cached:", fmt::format("{} token(s)", cached));
  duration("prompt eval duration:", prompt_ns);
  // What was in the cache took no time; counting it would show a speed that no prompt gets.
  if (prompt_ns > 0 && prompt > cached)
    line("prompt eval rate:", fmt::format("{:.2f} tokens/s", per_second(prompt - cached, prompt_ns)));
  if (generated > 0) line("eval count:", fmt::format("{} token(s)", generated));
  duration("eval duration:", generate_ns);
  if (generate_ns > 0 && generated > 0)
    line("eval rate:", fmt::format("{:.2f} tokens/s", per_second(generated, generate_ns)));
  return out;
}

std::string memory_text(const Json& memory) {
  if (!memory.is_object()) return {};
  std::string out = fmt::format("{:<14}{:>12}{:>12}\n", "memory", "planned", "measured");
  for (const auto& [name, category] : memory.items()) {
    if (!category.is_object()) continue;
    if (number_of(category, "planned") == 0 && number_of(category, "measured") == 0) continue;
    out += fmt::format("  {:<12}{:>12}{:>12}\n", name, bytes_of(category, "planned"),
                       bytes_of(category, "measured"));
  }
  if (memory.contains("unexplained")) {
    const int64_t rest = number_of(memory, "unexplained");
    const uint64_t size = rest < 0 ? ~static_cast<uint64_t>(rest) + 1 : static_cast<uint64_t>(rest);
    out +=
        fmt::format("  {:<12}{:>12}{:>12}\n", "unexplained", "", (rest < 0 ? "-" : "") + format_bytes(size));
  }
  return out;
}

std::string stop_notice(const Json& done, int64_t num_ctx, const Json& options) {
  const std::string stop = text_of(done, "stop");
  if (stop == "context")
    return fmt::format("The context of {} tokens is full: the answer ends here.", num_ctx);
  if (stop == "repetition")
    return "The answer only repeated itself and was ended (--no-repeat-guard lets it go on).";
  if (stop == "memory") return "There is no memory left for a longer answer: it ends here.";
  if (stop == "time") {
    const auto it = options.find("max_seconds");
    return it == options.end()
               ? "The time limit is reached: the answer ends here."
               : fmt::format("The time limit of {} s is reached: the answer ends here.", show_value(*it));
  }
  return {};
}

std::string dropped_notice(int64_t messages, int64_t num_ctx) {
  const std::string which =
      messages == 1 ? "oldest message was" : fmt::format("{} oldest messages were", messages);
  return fmt::format("The conversation no longer fits num_ctx {}: the {} dropped.", num_ctx, which);
}

std::string parameter_count(uint64_t n) {
  struct Unit {
    uint64_t size;
    const char* name;
    int decimals;
  };
  static constexpr std::array kUnits = {Unit{1'000'000'000, "B", 1}, Unit{1'000'000, "M", 2},
                                        Unit{1'000, "K", 0}};
  for (const Unit& u : kUnits) {
    if (n < u.size) continue;
    if (n % u.size == 0 || u.decimals == 0) return fmt::format("{}{}", n / u.size, u.name);
    return fmt::format("{:.{}f}{}", static_cast<double>(n) / static_cast<double>(u.size), u.decimals, u.name);
  }
  return fmt::format("{}", n);
}

std::string info_text(const Json& info, const std::string& file, const std::string& system,
                      const Json& options) {
  Rows model = {{"architecture", text_of(info, "architecture")},
                {"parameters",
                 parameter_count(static_cast<uint64_t>(std::max<int64_t>(number_of(info, "parameters"), 0)))},
                {"context length", fmt::format("{}", number_of(info, "n_ctx_train"))},
                {"embedding length", fmt::format("{}", number_of(info, "embedding_length"))},
                {"quantization", text_of(info, "quantization")}};
  std::string out = block("Model", model);
  out += block("Capabilities", {{"completion"}});
  if (!options.empty()) out += block("Parameters", option_rows(options));
  if (const Rows rows = head_of(system); !rows.empty()) out += block("System", rows);
  if (const Rows rows = head_of(text_of(info, "license")); !rows.empty()) out += block("License", rows);
  out += block(
      "Runner",
      {{"file", file},
       {"size", format_bytes(static_cast<uint64_t>(std::max<int64_t>(number_of(info, "file_bytes"), 0)))},
       {"num_ctx", fmt::format("{}", number_of(info, "num_ctx"))},
       {"KV cache", text_of(info, "kv_cache_type")},
       {"threads", fmt::format("{}", number_of(info, "threads"))},
       {"kernels", text_of(info, "isa")}});
  return out;
}

std::string modelfile_text(const Json& info, const std::string& file, const std::string& system,
                           const Json& options) {
  std::string out = fmt::format(
      "# The file is run as it is; its chat template stands in the file itself (/show template).\nFROM {}\n",
      file);
  const auto quoted = [](const std::string& text) { return fmt::format("\"\"\"{}\"\"\"", text); };
  if (!system.empty()) out += fmt::format("SYSTEM {}\n", quoted(system));
  for (const auto& row : option_rows(options)) out += fmt::format("PARAMETER {} {}\n", row[0], row[1]);
  if (const std::string license = text_of(info, "license"); !license.empty())
    out += fmt::format("LICENSE {}\n", quoted(license));
  return out;
}

}  // namespace quipu::cli
