// SHA-256: the names of blobs and manifests.
//
// Threads: a Digest is a value; a Sha256 belongs to one thread at a time.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace quipu {

// Only a well-formed text becomes one, and a file's name is made from it alone: no path comes from outside.
class Digest {
 public:
  static constexpr size_t kBytes = 32;

  Digest() = default;
  explicit Digest(const std::array<uint8_t, kBytes>& bytes) : bytes_(bytes) {}

  // "sha256:" or "sha256-" and 64 hex digits of either case; else kInvalidArgument "invalid digest format".
  static Result<Digest> parse(std::string_view text);

  std::string hex() const;
  std::string text() const { return "sha256:" + hex(); }
  std::string file_name() const { return "sha256-" + hex(); }
  // As progress lines show it: the first 12 hex digits.
  std::string short_hex() const { return hex().substr(0, 12); }

  friend auto operator<=>(const Digest&, const Digest&) = default;

 private:
  std::array<uint8_t, kBytes> bytes_{};
};

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void update(std::span<const std::byte> bytes);
  void update(std::string_view text) { update(std::as_bytes(std::span(text))); }
  Digest finish();  // once; nothing can be added after it

 private:
  struct State;
  std::unique_ptr<State> state_;
};

Digest digest_of(std::string_view bytes);
// go_on, if there is one, is called for every piece that is read; false ends it (kCancelled).
Result<Digest> digest_of_file(const std::string& path, const std::function<bool()>& go_on = {});

}  // namespace quipu
