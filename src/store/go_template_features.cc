// What a Go template refers to, read off its actions.
#include <cctype>
#include <string>
#include <vector>

#include "base/go_text.h"
#include "store/template_features.h"

namespace quipu::store {

namespace {

struct Piece {
  bool action = false;
  std::string_view text;
};

std::vector<Piece> pieces_of(std::string_view text) {
  std::vector<Piece> pieces;
  while (!text.empty()) {
    const size_t open = text.find("{{");
    if (open != 0) pieces.push_back({false, text.substr(0, open)});
    if (open == text.npos) break;
    const size_t close = text.find("}}", open);
    if (close == text.npos) break;
    pieces.push_back({true, text.substr(open + 2, close - open - 2)});
    text.remove_prefix(close + 2);
  }
  return pieces;
}

// Is the field or variable NAME used in this action?
bool refers_to(std::string_view action, std::string_view name) {
  for (size_t at = action.find(name); at != action.npos; at = action.find(name, at + 1)) {
    const bool begins = at > 0 && (action[at - 1] == '.' || action[at - 1] == '$');
    const size_t end = at + name.size();
    const bool ends = end == action.size() ||
                      (std::isalnum(static_cast<unsigned char>(action[end])) == 0 && action[end] != '_');
    if (begins && ends) return true;
  }
  return false;
}

}  // namespace

TemplateFeatures go_template_features(std::string_view text) {
  TemplateFeatures features;
  bool tool_calls = false;
  const std::vector<Piece> pieces = pieces_of(text);
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (!pieces[i].action) continue;
    features.tools |= refers_to(pieces[i].text, "Tools");
    features.insert |= refers_to(pieces[i].text, "Suffix");
    tool_calls |= refers_to(pieces[i].text, "ToolCalls");
    // Text on both sides of the printed thoughts: their tags.
    const auto tag_at = [&](size_t at) {
      return at < pieces.size() && !pieces[at].action && !trim_white_space(pieces[at].text).empty();
    };
    if (i > 0 && refers_to(pieces[i].text, "Thinking") && tag_at(i - 1) && tag_at(i + 1))
      features.thinking = true;
  }
  const auto contains = [&](std::string_view part) { return text.find(part) != text.npos; };
  features.tool_round_trip =
      features.tools && tool_calls &&
      (contains("eq .Role \"tool\"") || contains("tool_response") || contains("TOOL_RESULTS"));
  return features;
}

}  // namespace quipu::store
