// Where a parse stands: the tokens ahead, and what belongs to the definition that is being read.
//
// Threads: belongs to one parse.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chat/go/failure.h"
#include "chat/go/lexer.h"
#include "chat/go/literal.h"
#include "chat/native_stack.h"

namespace quipu::gotmpl {

// What belongs to one definition alone.
class Scope {
 public:
  Scope() { declare("$"); }
  void declare(const std::string& name) {
    order_.push_back(name);
    ++count_[name];
  }
  bool has(std::string_view name) const { return count_.contains(name); }
  size_t n_variables() const { return order_.size(); }
  // Forgets all but the first n that were declared.
  void keep(size_t n) {
    for (; order_.size() > n; order_.pop_back())
      if (const auto it = count_.find(order_.back()); --it->second == 0) count_.erase(it);
  }

  int loops = 0;      // around what is being read
  uint32_t line = 0;  // of the last token that was read for it
  uint32_t action_line = 0;

 private:
  std::vector<std::string> order_;
  std::map<std::string, size_t, std::less<>> count_;
};

class ParseState {
 public:
  explicit ParseState(std::string_view source) : lexer_(source) {}

  template <class... A>
  [[noreturn]] void error(fmt::format_string<A...> format, A&&... args) const {
    fail("template: :{}: {}", scope.line, fmt::format(format, std::forward<A>(args)...));
  }
  [[noreturn]] void unexpected(const Token& token, std::string_view context) const;
  void check_depth() const {
    if (stack_.exhausted()) error("max expression depth exceeded");
  }

  // The token so many places ahead; peek_word and next_word pass over space first.
  const Token& peek(size_t ahead = 0);
  const Token& peek_word(size_t ahead = 0);
  Token next();
  Token next_word();
  Token expect(TokenKind kind, std::string_view context);

  template <class T>
  T value_of(Literal<T> literal) const {
    if (!literal) error("{}", literal.error());
    return std::move(*literal);
  }

  Scope scope;

 private:
  Lexer lexer_;
  std::deque<Token> ahead_;
  const NativeStack stack_;
};

}  // namespace quipu::gotmpl
