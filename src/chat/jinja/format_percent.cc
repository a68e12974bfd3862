// The % operator on text.
#include <cmath>
#include <limits>

#include "chat/jinja/format.h"
#include "chat/jinja/interp.h"
#include "chat/jinja/ops.h"
#include "chat/jinja/text.h"
#include "chat/jinja/unicode.h"

namespace quipu::jinja {

namespace {

class PercentFormatter {
 public:
  PercentFormatter(Interp& interp, const Value& format, const Value& arguments)
      : interp_(interp),
        text_(text_of(format)),
        escape_(is_markup(format)),
        arguments_(arguments),
        is_tuple_(arguments.is(Kind::kTuple)),
        is_mapping_(arguments.is(Kind::kDict) || arguments.is(Kind::kList) || arguments.is(Kind::kRange) ||
                    arguments.is_undefined()),
        out_(interp.budget()) {}

  std::string run() {
    while (at_ < text_.size()) {
      const size_t percent = std::min(text_.find('%', at_), text_.size());
      out_.add(text_.substr(at_, percent - at_));
      at_ = percent;
      if (at_ == text_.size()) break;
      ++at_;
      field();
    }
    const bool left = is_tuple_ ? n_used_ < items_of(arguments_).size() : n_used_ == 0;
    if (left && !is_mapping_) fail(Fault::kType, "not all arguments converted during string formatting");
    return out_.take();
  }

 private:
  struct Field {
    bool left = false, plus = false, space = false, alternate = false, zero = false;
    int width = 0;
    int precision = -1;
  };

  char take() {
    if (at_ == text_.size()) fail(Fault::kValue, "incomplete format");
    return text_[at_++];
  }

  Value next_argument() {
    if (has_keyed_) {
      has_keyed_ = false;
      return keyed_;
    }
    if (is_tuple_ ? n_used_ >= items_of(arguments_).size() : n_used_ > 0)
      fail(Fault::kType, "not enough arguments for format string");
    ++n_used_;
    return is_tuple_ ? items_of(arguments_)[n_used_ - 1] : arguments_;
  }

  // A number, or * for one from the arguments.
  int number(char& c) {
    if (c == '*') {
      const Value v = next_argument();
      if (!v.is_integral()) fail(Fault::kType, "* wants int");
      c = take();
      return need_small_int(v, "*");
    }
    int64_t n = 0;
    for (; c >= '0' && c <= '9'; c = take()) {
      n = n * 10 + (c - '0');
      if (n > std::numeric_limits<int>::max()) fail(Fault::kValue, "width too big");
    }
    return static_cast<int>(n);
  }

  void key() {
    if (!is_mapping_) fail(Fault::kType, "format requires a mapping");
    const size_t start = at_;
    for (int depth = 1; depth > 0;) {
      if (at_ == text_.size()) fail(Fault::kValue, "incomplete format key");
      const char c = text_[at_++];
      depth += c == '(' ? 1 : c == ')' ? -1 : 0;
    }
    const std::string name(text_.substr(start, at_ - 1 - start));
    if (arguments_.is_undefined()) arguments_.as<Undefined>().raise();
    if (!arguments_.is(Kind::kDict)) fail(Fault::kType, "list indices must be integers or slices, not str");
    const Value* found = arguments_.as<Dict>().find(name);
    if (found == nullptr) fail(Fault::kLookup, "{}", python_quoted(name));
    keyed_ = *found;
    has_keyed_ = true;
    ++n_used_;
  }

  void field() {
    Field f;
    char c = take();
    if (c == '%') return out_.add('%');
    if (c == '(') {
      key();
      c = take();
    }
    for (;; c = take()) {
      if (c == '-')
        f.left = true;
      else if (c == '+')
        f.plus = true;
      else if (c == ' ')
        f.space = true;
      else if (c == '#')
        f.alternate = true;
      else if (c == '0')
        f.zero = true;
      else
        break;
    }
    f.width = number(c);
    if (f.width < 0) {
      f.left = true;
      f.width = -f.width;
    }
    if (c == '.') {
      c = take();
      f.precision = std::max(number(c), 0);
    }
    if (c == 'h' || c == 'l' || c == 'L') c = take();
    convert(f, c);
  }

  void convert(const Field& f, char c) {
    switch (c) {
      case 's':
      case 'r':
      case 'a':
        return text_field(f, c, next_argument());
      case 'c':
        return char_field(f, next_argument());
      case 'd':
      case 'i':
      case 'u':
      case 'x':
      case 'X':
      case 'o':
        return int_field(f, c, next_argument());
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G':
        return float_field(f, c, next_argument());
      default: {
        size_t end = at_ - 1;
        const char32_t code = next_char(text_, end);
        fail(Fault::kValue, "unsupported format character '{}' (0x{:x}) at index {}",
             text_.substr(at_ - 1, end - (at_ - 1)), static_cast<uint32_t>(code),
             count_chars(text_.substr(0, at_ - 1)));
      }
    }
  }

  void padded(const Field& f, std::string_view sign, std::string_view body, bool zero) {
    const size_t length = count_chars(sign) + count_chars(body);
    const size_t missing = static_cast<size_t>(f.width) > length ? static_cast<size_t>(f.width) - length : 0;
    if (!f.left && !zero) out_.fill(missing);
    out_.add(sign);
    if (!f.left && zero) out_.fill(missing, "0");
    out_.add(body);
    if (f.left) out_.fill(missing);
  }

  void text_field(const Field& f, char c, const Value& value) {
    Budget& budget = interp_.budget();
    std::string text = c == 's' ? str_of(budget, value) : repr_of(budget, value);
    if (c == 'a') text = ascii_escaped(text);
    if (escape_ && !(c == 's' && is_markup(value))) {
      TextBuilder escaped(budget);
      add_escaped(escaped, make_string(interp_.heap(), std::move(text)));
      text = escaped.take();
    }
    std::string_view shown = text;
    if (f.precision >= 0) shown = shown.substr(0, char_offset(shown, static_cast<size_t>(f.precision)));
    padded(f, {}, shown, false);
  }

  void char_field(const Field& f, const Value& value) {
    std::string text;
    if (value.is_string() && value.as<String>().length() == 1) {
      text = text_of(value);
    } else if (value.is_integral()) {
      const Int i = value.as_int();
      if (i < 0 || i > 0x10ffff) fail(Fault::kOverflow, "%c arg not in range(0x110000)");
      append_char(text, i >= 0xd800 && i < 0xe000 ? 0xfffd : static_cast<char32_t>(i));
    } else {
      fail(Fault::kType, "%c requires int or char");
    }
    padded(f, {}, text, false);
  }

  std::string sign_of(const Field& f, bool negative) const {
    return negative ? "-" : f.plus ? "+" : f.space ? " " : "";
  }

  void int_field(const Field& f, char c, const Value& value) {
    const bool decimal = c == 'd' || c == 'i' || c == 'u';
    Int i = 0;
    if (value.is_integral()) {
      i = value.as_int();
    } else if (value.is(Kind::kFloat) && decimal) {
      const double d = value.as_float();
      if (std::isnan(d)) fail(Fault::kValue, "cannot convert float NaN to integer");
      if (std::isinf(d)) fail(Fault::kOverflow, "cannot convert float infinity to integer");
      if (std::abs(d) >= 0x1p126) fail(Fault::kOverflow, "the integer is too large");
      i = static_cast<Int>(d);
    } else if (value.is_undefined() && decimal) {
      value.as<Undefined>().raise();
    } else {
      fail(Fault::kType, "%{} format: {} is required, not {}", c, decimal ? "a real number" : "an integer",
           type_name(value));
    }
    const bool negative = i < 0;
    const auto magnitude = negative ? -static_cast<unsigned __int128>(i) : static_cast<unsigned __int128>(i);
    std::string digits = integer_digits(magnitude, decimal ? 'd' : c);
    if (f.precision > static_cast<int>(digits.size())) {
      interp_.budget().check_size(static_cast<uint64_t>(f.precision));
      digits.insert(0, static_cast<size_t>(f.precision) - digits.size(), '0');
    }
    std::string sign = sign_of(f, negative);
    if (f.alternate && !decimal) sign += {'0', c};
    padded(f, sign, digits, f.zero);
  }

  void float_field(const Field& f, char c, const Value& value) {
    if (value.is_undefined()) value.as<Undefined>().raise();
    if (!value.is_number()) fail(Fault::kType, "must be real number, not {}", type_name(value));
    const double d = value.to_double();
    interp_.budget().check_size(static_cast<uint64_t>(std::max(f.precision, 0)));
    interp_.budget().work(static_cast<uint64_t>(std::max(f.precision, 0)));
    const std::string digits =
        float_digits(std::abs(d), {.type = c, .precision = f.precision, .alternate = f.alternate});
    padded(f, sign_of(f, std::signbit(d) && !std::isnan(d)), digits, f.zero && std::isfinite(d));
  }

  Interp& interp_;
  const std::string_view text_;
  const bool escape_;
  const Value& arguments_;
  const bool is_tuple_, is_mapping_;
  TextBuilder out_;
  size_t at_ = 0;
  size_t n_used_ = 0;
  Value keyed_;
  bool has_keyed_ = false;
};

}  // namespace

Value format_percent(Interp& interp, const Value& format, const Value& arguments) {
  PercentFormatter formatter(interp, format, arguments);
  return make_string_like(format, formatter.run());
}

}  // namespace quipu::jinja
