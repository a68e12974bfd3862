#include "chat/jinja/numbers.h"

#include <array>
#include <charconv>
#include <cmath>

#include "chat/jinja/interp.h"
#include "chat/jinja/literal.h"
#include "chat/jinja/ops.h"

namespace quipu::jinja {

Value int_of_number(const Value& value) {
  if (value.is_integral()) return Value::integer(value.as_int());
  if (value.is_undefined()) value.as<Undefined>().raise();
  if (!value.is(Kind::kFloat))
    fail(Fault::kType, "int() argument must be a string, a bytes-like object or a real number, not '{}'",
         type_name(value));
  const double d = value.as_float();
  if (std::isnan(d)) fail(Fault::kValue, "cannot convert float NaN to integer");
  if (std::isinf(d)) fail(Fault::kOverflow, "cannot convert float infinity to integer");
  if (std::abs(d) >= 0x1p126) fail(Fault::kOverflow, "the integer is too large");
  return Value::integer(static_cast<Int>(d));
}

Value int_of_text(Interp& interp, const Value& text, int base) {
  if (base != 0 && (base < 2 || base > 36)) fail(Fault::kValue, "int() base must be >= 2 and <= 36, or 0");
  interp.budget().work(text_of(text).size());
  bool overflow = false;
  const auto value = parse_int(text_of(text), base, overflow);
  if (overflow) fail(Fault::kOverflow, "the integer is too large");
  if (!value) fail(Fault::kValue, "invalid literal for int() with base {}", base);
  return Value::integer(*value);
}

double float_of(Interp& interp, const Value& value) {
  if (value.is_number()) return value.to_double();
  if (value.is_undefined()) value.as<Undefined>().raise();
  if (!value.is_string())
    fail(Fault::kType, "float() argument must be a string or a real number, not '{}'", type_name(value));
  interp.budget().work(text_of(value).size());
  const auto number = parse_float(text_of(value));
  if (!number) fail(Fault::kValue, "could not convert string to float");
  return *number;
}

double round_decimal(double value, int places) {
  if (!std::isfinite(value) || places > 323) return value;  // there are no more digits to lose
  if (places < -308) return std::copysign(0.0, value);
  if (places >= 0) {
    // The exact decimal expansion, rounded where it is cut.
    std::array<char, 700> buffer{};
    const auto written =
        std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::fixed, places);
    double out = value;
    if (written.ec == std::errc()) std::from_chars(buffer.data(), written.ptr, out);
    return out;
  }
  const double scale = std::pow(10.0, -places);
  const double rounded = std::nearbyint(value / scale) * scale;
  if (std::isinf(rounded)) fail(Fault::kOverflow, "rounded value too large to represent");
  return rounded;
}

Int round_decimal(Int value, int places) {
  if (places >= 0) return value;
  if (places < -38) return 0;
  Int scale = 1;
  for (int i = 0; i < -places; ++i)
    if (__builtin_mul_overflow(scale, Int{10}, &scale)) return 0;
  const Int rest = value % scale;
  Int down = value - rest;
  const Int twice = rest < 0 ? -rest : rest;
  const bool up = twice > scale - twice || (twice == scale - twice && down / scale % 2 != 0);
  if (up && __builtin_add_overflow(down, value < 0 ? -scale : scale, &down))
    fail(Fault::kOverflow, "the integer is too large");
  return down;
}

}  // namespace quipu::jinja
