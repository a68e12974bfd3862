// When an answer ends by its text: stop strings and repetition.
//
// Threads: one sequence, one thread at a time.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace quipu {

// Looks for stop strings in streamed text. The tail that could be the start of one is held back. The first to
// be complete counts (of two that end together the longer), so how the text was cut into pieces makes no
// difference.
class StopMatcher {
 public:
  // An empty stop string is ignored, and one that begins inside a character: text is never cut there.
  explicit StopMatcher(std::vector<std::string> stops);

  // Returns the text that may be shown now. After a match it is the text before the stop string, matched() is
  // true and everything later is ignored.
  std::string push(std::string_view text);
  std::string finish();  // what was held back, at the end of the answer
  bool matched() const { return matched_; }

 private:
  struct Pattern {
    std::string text;
    std::vector<uint32_t>
        shorter;       // [n]: the longest proper prefix that is a suffix of the first n + 1 bytes
    size_t found = 0;  // bytes of it that the text so far ends with
  };

  std::vector<Pattern> patterns_;
  std::string held_;
  bool matched_ = false;
};

// Ends output that repeats itself: a period of at most 64 tokens at least 8 times in a row and at least 256
// tokens long in all; or more than 30 repeats of a piece of text in a row, white space around it left out (so
// pieces of nothing but white space are equal).
class RepetitionGuard {
 public:
  // True when the run must end now. text: the characters that came with the token; nothing when none is
  // complete yet, or when there is no text at all.
  bool push(int32_t token, std::optional<std::string_view> text);

 private:
  static constexpr size_t kMaxPeriod = 64;
  static constexpr uint64_t kMinTimes = 8;
  static constexpr uint64_t kMinTokens = 256;
  static constexpr uint32_t kMaxRepeats = 30;

  bool repeats_tokens(int32_t token);
  bool repeats_text(std::string_view text);

  std::array<int32_t, kMaxPeriod> recent_{};           // a ring: token i is at i % kMaxPeriod
  std::array<uint64_t, kMaxPeriod + 1> run_length_{};  // [p]: how many tokens in a row equal the one p before
  uint64_t n_tokens_ = 0;
  std::string last_text_;
  uint32_t repeats_ = 0;
};

}  // namespace quipu
