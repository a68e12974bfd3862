#include "base/log.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <array>
#include <charconv>
#include <string>
#include <string_view>

#include "base/environment.h"

namespace quipu {

namespace {

// OLLAMA_DEBUG: true or 1 is debug, 2 is trace.
spdlog::level::level_enum wanted_level(bool verbose) {
  const auto level = verbose ? spdlog::level::info : spdlog::level::warn;
  const auto debug = environment({"QUIPU_DEBUG", "OLLAMA_DEBUG"});
  if (!debug || !debug->on()) return level;
  const std::string& v = debug->value;
  int n = 1;
  const auto [end, ec] = std::from_chars(v.data(), v.data() + v.size(), n);
  if (ec != std::errc() || end != v.data() + v.size()) return spdlog::level::debug;
  return n > 1 ? spdlog::level::trace : n == 1 ? spdlog::level::debug : level;
}

// Bytes of the well-formed UTF-8 character at the front of s; 0: there is none.
size_t character_at_front(std::string_view s) {
  const auto b = [s](size_t i) { return i < s.size() ? static_cast<unsigned char>(s[i]) : 0u; };
  const auto follows = [&](size_t i) { return (b(i) & 0xC0) == 0x80; };
  if (b(0) < 0x80) return 1;
  if (b(0) >= 0xC2 && b(0) < 0xE0) return follows(1) ? 2 : 0;
  if (b(0) >= 0xE0 && b(0) < 0xF0) {
    const bool overlong = b(0) == 0xE0 && b(1) < 0xA0, surrogate = b(0) == 0xED && b(1) >= 0xA0;
    return follows(1) && follows(2) && !overlong && !surrogate ? 3 : 0;
  }
  if (b(0) >= 0xF0 && b(0) < 0xF5) {
    const bool overlong = b(0) == 0xF0 && b(1) < 0x90, too_large = b(0) == 0xF4 && b(1) >= 0x90;
    return follows(1) && follows(2) && follows(3) && !overlong && !too_large ? 4 : 0;
  }
  return 0;
}

// The message inside a JSON string, whatever bytes it has: names of files and options come from strangers.
class JsonMessage final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&, spdlog::memory_buf_t& out) override {
    std::string_view s(message.payload.data(), message.payload.size());
    while (!s.empty()) {
      const size_t n = character_at_front(s);
      if (n == 0)
        out.append(std::string_view("\\ufffd"));
      else if (n == 1 && (s[0] == '"' || s[0] == '\\'))
        out.append(std::array{'\\', s[0]});
      else if (n == 1 && static_cast<unsigned char>(s[0]) < 0x20)
        out.append(fmt::format("\\u{:04x}", static_cast<unsigned char>(s[0])));
      else
        out.append(s.substr(0, n));
      s.remove_prefix(n == 0 ? 1 : n);
    }
  }
  std::unique_ptr<custom_flag_formatter> clone() const override { return std::make_unique<JsonMessage>(); }
};

// The message on one line, without what a terminal would obey: a name that a stranger chose can forge no line
// of the log.
class TextMessage final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&, spdlog::memory_buf_t& out) override {
    for (const char c : std::string_view(message.payload.data(), message.payload.size())) {
      if (c == '\n')
        out.append(std::string_view("\\n"));
      else if (const auto byte = static_cast<unsigned char>(c); byte < 0x20 || byte == 0x7f)
        out.append(fmt::format("\\x{:02x}", byte));
      else
        out.push_back(c);
    }
  }
  std::unique_ptr<custom_flag_formatter> clone() const override { return std::make_unique<TextMessage>(); }
};

std::unique_ptr<spdlog::formatter> text_formatter() {
  auto f = std::make_unique<spdlog::pattern_formatter>();
  f->add_flag<TextMessage>('*');
  f->set_pattern("%Y-%m-%dT%H:%M:%S.%e %L %*");
  return f;
}

std::unique_ptr<spdlog::formatter> json_formatter() {
  auto f = std::make_unique<spdlog::pattern_formatter>();
  f->add_flag<JsonMessage>('*');
  f->set_pattern(R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l","pid":%P,"message":"%*"})");
  return f;
}

}  // namespace

std::string bad_log_format() {
  const auto format = environment("QUIPU_LOG_FORMAT");
  if (!format || format->value == "json" || format->value == "text") return {};
  return fmt::format("QUIPU_LOG_FORMAT={}: it must be text or json; text it is", format->value);
}

void init_log(bool verbose) {
  auto logger = spdlog::get("quipu");
  const bool first = !logger;
  if (first) logger = spdlog::stderr_logger_mt("quipu");
  const auto format = environment("QUIPU_LOG_FORMAT");
  if (format && format->value == "json")
    logger->set_formatter(json_formatter());
  else
    logger->set_formatter(text_formatter());
  logger->set_level(wanted_level(verbose));
  spdlog::set_default_logger(logger);
  if (const std::string warning = bad_log_format(); first && !warning.empty()) spdlog::warn("{}", warning);
}

}  // namespace quipu
