#include "tokenizer/clean_spaces.h"

#include <string_view>

namespace quipu {

namespace {

bool begins_shortened(std::string_view rest) {
  return rest.starts_with("'s") || rest.starts_with("'m") || rest.starts_with("'re") ||
         rest.starts_with("'ve");
}

// Copies the text onto itself without the spaces for which `drop` holds: drop(i) is asked where text[i - 1]
// is a space and decides about that one.
template <class Drop>
void drop_spaces(std::string& text, Drop drop) {
  size_t end = 0;
  char previous = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (previous == ' ' && drop(i)) --end;
    text[end++] = c;  // behind what is still to be read
    previous = c;
  }
  text.resize(end);
}

// " ' " becomes "'". A space that went together with one apostrophe is no longer there for the next.
void join_lone_apostrophes(std::string& text) {
  size_t end = 0;
  char previous = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool lone = c == '\'' && previous == ' ' && i + 1 < text.size() && text[i + 1] == ' ';
    if (lone) {
      --end;
      ++i;
    }
    text[end++] = c;
    previous = lone ? '\0' : c;
  }
  text.resize(end);
}

}  // namespace

void clean_spaces(std::string& text) {
  drop_spaces(text,
              [&](size_t i) { return std::string_view("?!.,").find(text[i]) != std::string_view::npos; });
  join_lone_apostrophes(text);
  drop_spaces(text, [&](size_t i) { return begins_shortened(std::string_view(text).substr(i)); });
}

}  // namespace quipu
