#include "cli/report.h"

#include "base/units.h"
#include "cli/run_options.h"

namespace quipu::cli {

namespace {

double per_second(int64_t n, int64_t ns) { return static_cast<double>(n) * 1e9 / static_cast<double>(ns); }

std::string bytes_of(const Json& category, const char* key) {
  const int64_t n = number_of(category, key, -1);
  return n >= 0 ? format_bytes(static_cast<uint64_t>(n)) : "";
}

// "   64.0 MiB in use, 32.0 MiB cached, 4.0 MiB reserved; up to 5.0 GiB"
std::string kv_remark(const Json& kv) {
  std::string out;
  if (kv.contains("in_use")) {
    const int64_t in_use = number_of(kv, "in_use"), cached = number_of(kv, "cached");
    const int64_t reserved = number_of(kv, "measured") - in_use - cached;
    out = fmt::format("{} in use, {} cached", bytes_of(kv, "in_use"), bytes_of(kv, "cached"));
    if (reserved > 0) out += fmt::format(", {} reserved", format_bytes(static_cast<uint64_t>(reserved)));
  }
  if (kv.contains("ceiling"))
    out += fmt::format("{}up to {}", out.empty() ? "" : "; ", bytes_of(kv, "ceiling"));
  return out.empty() ? out : "   " + out;
}

}  // namespace

std::string metrics_text(const Json& done) {
  std::string out;
  const auto line = [&](std::string_view label, std::string value) {
    out += fmt::format("{:<22}{}\n", label, value);
  };
  const auto duration = [&](std::string_view label, int64_t ns) {
    if (ns > 0) line(label, format_duration_ns(ns));
  };
  const auto tokens = [&](std::string_view label, int64_t n) {
    if (n > 0) line(label, fmt::format("{} token(s)", n));
  };
  const Json& ours = field_of(done, "quipu");
  const int64_t prompt = number_of(done, "prompt_eval_count"), cached = number_of(ours, "cached_tokens");
  const int64_t prompt_ns = number_of(done, "prompt_eval_duration");
  const int64_t generated = number_of(done, "eval_count"), generate_ns = number_of(done, "eval_duration");
  duration("total duration:", number_of(done, "total_duration"));
  duration("load duration:", number_of(done, "load_duration"));
  tokens("prompt eval count:", prompt);
  tokens("prompt cached:", cached);
  duration("prompt eval duration:", prompt_ns);
  // What was in the cache took no time; counting it would show a speed that no prompt gets.
  if (prompt_ns > 0 && prompt > cached)
    line("prompt eval rate:", fmt::format("{:.2f} tokens/s", per_second(prompt - cached, prompt_ns)));
  tokens("eval count:", generated);
  duration("eval duration:", generate_ns);
  if (generate_ns > 0 && generated > 0)
    line("eval rate:", fmt::format("{:.2f} tokens/s", per_second(generated, generate_ns)));

  tokens("prompt dropped:", number_of(ours, "dropped_tokens"));
  if (const int64_t n = number_of(ours, "dropped_messages"); n > 0)
    line("messages dropped:", fmt::format("{}", n));
  if (const int64_t n = number_of(ours, "context_shifts"); n > 0)
    line("context shifts:", fmt::format("{}", n));
  if (const int64_t drafted = number_of(ours, "drafted_tokens"); drafted > 0)
    line("drafted:", fmt::format("{} token(s), {} accepted", drafted, number_of(ours, "accepted_tokens")));
  if (const int64_t n = number_of(ours, "kv_bytes"); n > 0)
    line("kv cache:", format_bytes(static_cast<uint64_t>(n)));
  if (const std::string stop = text_of(ours, "stop"); !stop.empty()) line("ended by:", stop);
  return out;
}

std::string memory_text(const Json& memory) {
  if (!memory.is_object()) return {};
  std::string out = fmt::format("{:<14}{:>12}{:>12}\n", "memory", "planned", "measured");
  for (const auto& [name, category] : memory.items()) {
    if (!category.is_object()) continue;
    // An empty cache still has a ceiling.
    if (name != "kv" && number_of(category, "planned") == 0 && number_of(category, "measured") == 0) continue;
    out += fmt::format("  {:<12}{:>12}{:>12}{}\n", name, bytes_of(category, "planned"),
                       bytes_of(category, "measured"), name == "kv" ? kv_remark(category) : "");
  }
  if (memory.contains("unexplained")) {
    const int64_t rest = number_of(memory, "unexplained");
    const uint64_t size = rest < 0 ? ~static_cast<uint64_t>(rest) + 1 : static_cast<uint64_t>(rest);
    out +=
        fmt::format("  {:<12}{:>12}{:>12}\n", "unexplained", "", (rest < 0 ? "-" : "") + format_bytes(size));
  }
  return out;
}

std::string plan_text(const Json& plan) {
  std::string out = memory_text(field_of(plan, "memory"));
  const Json& machine = field_of(plan, "machine");
  for (const char* what : {"free", "budget", "admitted", "available", "total"})
    if (const int64_t n = number_of(machine, what); n > 0)
      out += fmt::format("  {:<12}{:>12}\n", what, format_bytes(static_cast<uint64_t>(n)));
  for (const Json& other : field_of(plan, "alternatives"))
    if (text_of(other, "fits") != "no" && other.is_object())
      out += fmt::format("  {} would take {}\n", text_of(other, "change"), bytes_of(other, "total"));
  return out;
}

std::string stop_notice(const Json& done, int64_t num_ctx, const Json& options) {
  const std::string stop = text_of(field_of(done, "quipu"), "stop");
  if (stop == "context")
    return fmt::format("The context{} is full: the answer ends here.",
                       num_ctx > 0 ? fmt::format(" of {} tokens", num_ctx) : "");
  if (stop == "repetition")
    return "The answer only repeated itself and was ended (--no-repeat-guard lets it go on).";
  if (stop == "memory") return "There is no memory left for a longer answer: it ends here.";
  if (stop == "time") {
    const Json& limit = field_of(options, "max_seconds");
    return limit.is_null()
               ? "The time limit is reached: the answer ends here."
               : fmt::format("The time limit of {} s is reached: the answer ends here.", show_value(limit));
  }
  return {};
}

std::string shift_notice(const Json& done) {
  const int64_t shifts = number_of(field_of(done, "quipu"), "context_shifts");
  if (shifts <= 0) return {};
  return fmt::format("The context was full{}: to go on, the answer left out the older half of it.",
                     shifts == 1 ? "" : fmt::format(" {} times", shifts));
}

std::string dropped_notice(int64_t messages, int64_t num_ctx) {
  const std::string which =
      messages == 1 ? "oldest message was" : fmt::format("{} oldest messages were", messages);
  return fmt::format("The conversation no longer fits {}: the {} dropped.",
                     num_ctx > 0 ? fmt::format("num_ctx {}", num_ctx) : "the context", which);
}

}  // namespace quipu::cli
