// Text out of values: Python's str() and repr(), and the forms of numbers.
//
// Threads: as the values.
#pragma once

#include <string>
#include <string_view>

#include "chat/jinja/value.h"

namespace quipu::jinja {

// Text under construction. What it holds counts against the budget.
class TextBuilder {
 public:
  explicit TextBuilder(Budget& budget) : budget_(budget) {}
  ~TextBuilder() { budget_.drop(held_); }
  TextBuilder(const TextBuilder&) = delete;
  TextBuilder& operator=(const TextBuilder&) = delete;

  void add(std::string_view text) {
    budget_.work(text.size());
    budget_.check_size(text_.size() + text.size());
    if (text_.size() + text.size() > held_) grow(text.size());
    text_ += text;
  }
  void add(char c) { add(std::string_view(&c, 1)); }
  void fill(uint64_t n, std::string_view text = " ");  // that many times
  size_t size() const { return text_.size(); }
  const std::string& text() const { return text_; }
  std::string take() { return std::move(text_); }
  Budget& budget() const { return budget_; }

 private:
  void grow(size_t bytes);

  Budget& budget_;
  std::string text_;
  uint64_t held_ = 0;
};

// n copies of something of that size; fails before they would be too much.
uint64_t checked_repeat(Budget& budget, uint64_t bytes, Int n);

std::string python_quoted(std::string_view text);  // repr() of a str
void add_quoted(TextBuilder& out, std::string_view text);
std::string ascii_escaped(std::string_view text);  // what is not ASCII as \x, \u or \U, for ascii()
std::string int_text(Int value);
std::string float_text(double value);  // repr(): the shortest that reads back

void add_str(TextBuilder& out, const Value& value);
void add_repr(TextBuilder& out, const Value& value);
std::string str_of(Budget& budget, const Value& value);
std::string repr_of(Budget& budget, const Value& value);

// str(value), as a value: a plain string is itself.
Value to_string_value(Heap& heap, const Value& value);
// Jinja's soft_str: Markup stays Markup.
Value soft_string(Heap& heap, const Value& value);

std::string escape_html(std::string_view text);
void add_escaped(TextBuilder& out, const Value& value);  // markupsafe.escape(value)
Value escape_value(Heap& heap, const Value& value);

}  // namespace quipu::jinja
