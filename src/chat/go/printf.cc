// The format language of printf: %[index]flags width .precision verb
#include <algorithm>
#include <optional>
#include <utility>

#include "chat/go/print.h"
#include "chat/go/text.h"

namespace quipu::gotmpl {

namespace {

// Widths and precisions beyond this are mistakes.
constexpr int kMaxNumber = 1'000'000;

class Format {
 public:
  Format(std::string_view text, std::span<const Value> values) : text_(text), values_(values) {}

  bool done() const { return at_ >= text_.size(); }

  // What stands before the next directive.
  std::string_view plain() {
    const size_t start = at_;
    at_ = std::min(text_.find('%', at_), text_.size());
    return text_.substr(start, at_ - start);
  }
  // Skips the %; false: there is no directive any more.
  bool directive() {
    if (done()) return false;
    ++at_;
    good_index = true;
    return true;
  }

  Flags flags() {
    Flags f;
    for (; !done(); ++at_) {
      switch (text_[at_]) {
        case '#':
          f.sharp = true;
          continue;
        case '0':
          f.zero = true;
          continue;
        case '+':
          f.plus = true;
          continue;
        case '-':
          f.minus = true;
          continue;
        case ' ':
          f.space = true;
          continue;
        default:
          return f;
      }
    }
    return f;
  }

  // [3]: the next value is the third. False: no bracket stands here.
  bool index() {
    if (done() || text_[at_] != '[') return false;
    reordered = true;
    const size_t open = at_;
    const size_t close = closing_bracket();
    at_ = close == std::string_view::npos ? open + 1 : close + 1;
    size_t i = open + 1;
    const auto n = close == std::string_view::npos ? std::nullopt : number(i, close);
    const bool is_number = n && i == close;
    if (is_number && *n >= 1 && static_cast<size_t>(*n) <= values_.size())
      next_value = static_cast<size_t>(*n) - 1;
    else
      good_index = false;
    return is_number;
  }

  bool star() {
    if (done() || text_[at_] != '*') return false;
    ++at_;
    return true;
  }
  bool point() {
    if (at_ + 1 >= text_.size() || text_[at_] != '.') return false;
    ++at_;
    return true;
  }
  std::optional<int> written_number() { return number(at_, text_.size()); }

  // The next value, if it is a whole number of a size that makes sense.
  std::optional<int> number_from_value() {
    if (next_value >= values_.size()) return std::nullopt;
    const Value v = values_[next_value++].unboxed();
    if (v.is(Kind::kUint) && v.as_uint() <= kMaxNumber) return static_cast<int>(v.as_uint());
    if (v.is(Kind::kInt) && v.as_int() >= -kMaxNumber && v.as_int() <= kMaxNumber)
      return static_cast<int>(v.as_int());
    return std::nullopt;
  }

  char32_t verb() {
    const Rune r = decode_rune(text_.substr(at_));
    at_ += r.width;
    return r.value;
  }

  size_t next_value = 0;
  bool reordered = false;    // an index was used: unused values are no mistake
  bool good_index = true;    // of the present directive
  bool after_index = false;  // an index was the last thing read

 private:
  // Of the bracket that stands here. Where none was found, none is looked for again.
  size_t closing_bracket() {
    if (text_.size() - at_ < 3 || no_brackets_) return std::string_view::npos;
    const size_t close = text_.find(']', at_ + 1);
    no_brackets_ = close == std::string_view::npos;
    return close;
  }

  std::optional<int> number(size_t& i, size_t end) const {
    int n = 0;
    const size_t start = i;
    for (; i < end && text_[i] >= '0' && text_[i] <= '9'; ++i) {
      if (n > kMaxNumber) {
        i = end;
        return std::nullopt;
      }
      n = n * 10 + (text_[i] - '0');
    }
    return i > start ? std::optional(n) : std::nullopt;
  }

  const std::string_view text_;
  const std::span<const Value> values_;
  size_t at_ = 0;
  bool no_brackets_ = false;
};

}  // namespace

void Printer::printf(std::string_view format, std::span<const Value> values) {
  Format f(format, values);
  while (!f.done()) {
    budget_.step();
    add(f.plain());
    if (!f.directive()) break;
    flags_ = f.flags();
    f.after_index = f.index();

    if (f.star()) {
      const auto width = f.number_from_value();
      if (!width) add("%!(BADWIDTH)");
      flags_.has_width = width.has_value();
      flags_.width = width.value_or(0);
      if (flags_.width < 0) {
        flags_.width = -flags_.width;
        flags_.minus = true;
        flags_.zero = false;
      }
      f.after_index = false;
    } else if (const auto width = f.written_number()) {
      flags_.has_width = true;
      flags_.width = *width;
      if (f.after_index) f.good_index = false;
    }

    if (f.point()) {
      if (f.after_index) f.good_index = false;
      f.after_index = f.index();
      flags_.has_precision = true;
      if (f.star()) {
        const auto precision = f.number_from_value();
        flags_.has_precision = precision.value_or(-1) >= 0;
        flags_.precision = flags_.has_precision ? *precision : 0;
        if (!flags_.has_precision) add("%!(BADPREC)");
        f.after_index = false;
      } else {
        flags_.precision = f.written_number().value_or(0);
      }
    }
    if (!f.after_index) f.after_index = f.index();

    if (f.done()) {
      add("%!(NOVERB)");
      break;
    }
    const char32_t verb = f.verb();
    std::string named = "%!";
    append_rune(named, verb);
    if (verb == '%') {
      add("%");
    } else if (!f.good_index) {
      add(named + "(BADINDEX)");
    } else if (f.next_value >= values.size()) {
      add(named + "(MISSING)");
    } else {
      if (verb == 'v' || verb == 'w') {  // # and + mean something else here
        flags_.sharp_v = std::exchange(flags_.sharp, false);
        flags_.plus_v = std::exchange(flags_.plus, false);
      }
      value(values[f.next_value++], verb);
    }
  }
  if (!f.reordered && f.next_value < values.size()) extra(values.subspan(f.next_value));
}

}  // namespace quipu::gotmpl
