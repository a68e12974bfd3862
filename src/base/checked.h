// Checked arithmetic for sizes that come from files and requests.
#pragma once

#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>

namespace quipu {

template <std::integral T>
[[nodiscard]] constexpr std::optional<T> checked_add(T a, T b) {
  T r;
  return __builtin_add_overflow(a, b, &r) ? std::nullopt : std::optional<T>(r);
}

template <std::integral T>
[[nodiscard]] constexpr std::optional<T> checked_mul(T a, T b) {
  T r;
  return __builtin_mul_overflow(a, b, &r) ? std::nullopt : std::optional<T>(r);
}

// The value as another integer type, if it fits.
template <std::integral To, std::integral From>
[[nodiscard]] constexpr std::optional<To> checked_cast(From v) {
  To r;
  return __builtin_add_overflow(v, From{0}, &r) ? std::nullopt : std::optional<To>(r);
}

// Smallest multiple of `step` (> 0) that is not below v.
template <std::unsigned_integral T>
[[nodiscard]] constexpr std::optional<T> checked_round_up(T v, T step) {
  const T rest = v % step;
  return rest == 0 ? std::optional<T>(v) : checked_add<T>(v, step - rest);
}

// For sizes that are known to be in range (after the checks above).
template <std::integral T>
[[nodiscard]] constexpr T round_up(T v, T step) {
  return (v + step - 1) / step * step;
}

template <std::integral T>
[[nodiscard]] constexpr T ceil_div(T v, T step) {
  return (v + step - 1) / step;
}

}  // namespace quipu
