#include "workbench/kld_base.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace quipu::workbench {

namespace {

constexpr char kMagic[8] = {'Q', 'U', 'I', 'P', 'U', 'K', 'L', 'D'};
constexpr uint32_t kVersion = 1;

template <class T>
Result<void> put(OutputFile& out, const T& v) {
  return out.append_values(std::span<const T>(&v, 1));
}
template <class T>
bool get(std::ifstream& in, T& v) {
  return static_cast<bool>(in.read(reinterpret_cast<char*>(&v), sizeof v));
}

}  // namespace

Result<KldWriter> KldWriter::create(const std::string& path, const KldHeader& header) {
  QUIPU_ASSIGN(OutputFile out, OutputFile::create(path));
  KldWriter w(std::move(out));
  QUIPU_TRY(w.out_.append_values(std::span<const char>(kMagic)));
  for (uint32_t v : {kVersion, header.n_vocab, header.n_ctx, static_cast<uint32_t>(header.tokens.size())})
    QUIPU_TRY(put(w.out_, v));
  QUIPU_TRY(w.out_.append_values(std::span<const int32_t>(header.tokens)));
  w.values_.resize(header.n_vocab);
  return w;
}

Result<void> KldWriter::row(std::span<const float> log_probs) {
  const auto [lo, hi] = std::minmax_element(log_probs.begin(), log_probs.end());
  const float max = *hi, step = (max - *lo) / 65535.0f;
  for (size_t i = 0; i < log_probs.size(); ++i)
    values_[i] =
        step > 0 ? static_cast<uint16_t>(std::lround(std::min((max - log_probs[i]) / step, 65535.0f))) : 0;
  QUIPU_TRY(put(out_, max));
  QUIPU_TRY(put(out_, step));
  return out_.append_values(std::span<const uint16_t>(values_));
}

Result<void> KldWriter::finish() { return out_.finish(); }

Result<KldReader> KldReader::open(const std::string& path) {
  KldReader r;
  r.path_ = path;
  r.in_.open(path, std::ios::binary);
  if (!r.in_) return error(Code::kIo, "cannot read {}", path);
  char magic[8];
  uint32_t version = 0, n_tokens = 0;
  if (!r.in_.read(magic, sizeof magic) || std::memcmp(magic, kMagic, sizeof magic) != 0 ||
      !get(r.in_, version) || version != kVersion || !get(r.in_, r.header_.n_vocab) ||
      !get(r.in_, r.header_.n_ctx) || !get(r.in_, n_tokens) || r.header_.n_vocab == 0 ||
      r.header_.n_vocab > (1u << 24) || n_tokens > (1u << 28))
    return error(Code::kCorrupt, "{} is not a file written by perplexity --save", path);
  constexpr size_t kChunk = 1 << 16;  // grow with what is really there, whatever the header claims
  for (uint32_t left = n_tokens; left > 0;) {
    const size_t n = std::min<size_t>(left, kChunk), at = r.header_.tokens.size();
    r.header_.tokens.resize(at + n);
    if (!r.in_.read(reinterpret_cast<char*>(r.header_.tokens.data() + at),
                    static_cast<std::streamsize>(n * sizeof(int32_t))))
      return error(Code::kCorrupt, "{} ends before its tokens do", path);
    left -= static_cast<uint32_t>(n);
  }
  r.values_.resize(r.header_.n_vocab);
  return r;
}

Result<void> KldReader::row(std::span<float> log_probs) {
  float max = 0, step = 0;
  if (log_probs.size() != values_.size() || !get(in_, max) || !get(in_, step) ||
      !in_.read(reinterpret_cast<char*>(values_.data()),
                static_cast<std::streamsize>(values_.size() * sizeof(uint16_t))))
    return error(Code::kCorrupt, "{} ends before its rows do", path_);
  // Rounded to 16 bits they no longer add up to 1, and a divergence could come out negative.
  double sum = 0;
  for (size_t i = 0; i < values_.size(); ++i) {
    log_probs[i] = max - step * static_cast<float>(values_[i]);
    sum += std::exp(static_cast<double>(log_probs[i]));
  }
  const auto excess = static_cast<float>(std::log(sum));
  for (float& p : log_probs) p -= excess;
  return {};
}

}  // namespace quipu::workbench
