#include "base/digest.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <cerrno>
#include <new>
#include <vector>

#include "base/system_error.h"

namespace quipu {

namespace {

// -1: not a hex digit.
int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

Result<Digest> Digest::parse(std::string_view text) {
  const auto invalid = [] { return error(Code::kInvalidArgument, "invalid digest format"); };
  if (!text.starts_with("sha256:") && !text.starts_with("sha256-")) return invalid();
  text.remove_prefix(7);
  if (text.size() != 2 * kBytes) return invalid();
  Digest digest;
  for (size_t i = 0; i < kBytes; ++i) {
    const int high = hex_value(text[2 * i]), low = hex_value(text[2 * i + 1]);
    if (high < 0 || low < 0) return invalid();
    digest.bytes_[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return digest;
}

std::string Digest::hex() const {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(2 * kBytes);
  for (const uint8_t b : bytes_) {
    out += kDigits[b >> 4];
    out += kDigits[b & 15];
  }
  return out;
}

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~State() { EVP_MD_CTX_free(context); }
};

// What OpenSSL can fail at here is getting memory.
Sha256::Sha256() : state_(std::make_unique<State>()) {
  if (state_->context == nullptr || EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr) != 1)
    throw std::bad_alloc();
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(std::span<const std::byte> bytes) {
  EVP_DigestUpdate(state_->context, bytes.data(), bytes.size());
}

Digest Sha256::finish() {
  std::array<uint8_t, Digest::kBytes> bytes{};
  EVP_DigestFinal_ex(state_->context, bytes.data(), nullptr);
  return Digest(bytes);
}

Digest digest_of(std::string_view bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.finish();
}

Result<Digest> digest_of_file(const std::string& path, const std::function<bool()>& go_on) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return error(Code::kIo, "open {}: {}", path, system_message(errno));
  Sha256 hash;
  std::vector<std::byte> buffer(size_t{1} << 20);
  for (;;) {
    const ssize_t n = ::read(fd, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      const int number = errno;
      ::close(fd);
      if (n < 0) return error(Code::kIo, "read {}: {}", path, system_message(number));
      return hash.finish();
    }
    hash.update(std::span(buffer).first(static_cast<size_t>(n)));
    if (go_on && !go_on()) {
      ::close(fd);
      return error(Code::kCancelled, "cancelled");
    }
  }
}

}  // namespace quipu
