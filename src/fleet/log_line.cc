#include "fleet/log_line.h"

#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

namespace quipu::fleet {
namespace {

using Level = spdlog::level::level_enum;

std::string printable(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) c = ' ';
  return out;
}

// "2026-11-25T17:01:02.345 W what happened"
std::optional<LogLine> parse_text(std::string_view line) {
  constexpr std::string_view kShape = "dddd-dd-ddTdd:dd:dd.ddd L ";
  constexpr std::array kLetters = {std::pair('T', Level::trace), std::pair('D', Level::debug),
                                   std::pair('I', Level::info),  std::pair('W', Level::warn),
                                   std::pair('E', Level::err),   std::pair('C', Level::critical)};
  if (line.size() < kShape.size()) return std::nullopt;
  LogLine out;
  for (size_t i = 0; i < kShape.size(); ++i) {
    const char c = line[i];
    if (kShape[i] == 'd') {
      if (c < '0' || c > '9') return std::nullopt;
    } else if (kShape[i] == 'L') {
      bool known = false;
      for (const auto& [letter, level] : kLetters) {
        if (c == letter) out.level = level;
        known |= c == letter;
      }
      if (!known) return std::nullopt;
    } else if (c != kShape[i]) {
      return std::nullopt;
    }
  }
  out.text = printable(line.substr(kShape.size()));
  return out;
}

// {"time":"…","level":"warning","pid":1,"message":"…"}
std::optional<LogLine> parse_json(std::string_view line) {
  if (!line.starts_with('{')) return std::nullopt;
  const auto json = nlohmann::json::parse(line, nullptr, false);
  const auto text = [&](const char* key) -> std::optional<std::string> {
    const auto it = json.find(key);
    if (it == json.end() || !it->is_string()) return std::nullopt;
    return it->get<std::string>();
  };
  if (!json.is_object()) return std::nullopt;
  const auto level = text("level"), message = text("message");
  if (!level || !message) return std::nullopt;
  // from_str() takes what it does not know for "off", and what is off would be lost.
  const Level read = spdlog::level::from_str(*level);
  return LogLine{.level = read == Level::off ? Level::warn : read, .text = printable(*message)};
}

}  // namespace

LogLine parse_log_line(std::string_view line) {
  if (auto text = parse_text(line)) return *std::move(text);
  if (auto json = parse_json(line)) return *std::move(json);
  return {.text = printable(line)};
}

}  // namespace quipu::fleet
