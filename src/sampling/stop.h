// When an answer ends by its text: stop strings and repetition.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace quipu {

// Looks for stop strings in streamed text. The tail that could be the start of a stop string is held back.
class StopMatcher {
 public:
  explicit StopMatcher(std::vector<std::string> stops);
  // Returns the text that may be shown now. After a match it is the text before the stop string, matched() is true and
  // everything later is ignored.
  std::string push(std::string_view text);
  std::string finish();  // what was held back, at the end of the answer
  bool matched() const { return matched_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;
  bool matched_ = false;
};

// Ends output that repeats itself. Rule: quipu-extensions 13 (a period of p <= 64 tokens at least 8 times in a row and at
// least 256 tokens in all; or more than 30 equal pieces in a row, all-white-space pieces counting as equal).
class RepetitionGuard {
 public:
  // True when the run must end now. piece: the token's text. O(1) amortised per token and candidate period.
  bool push(int32_t token, std::string_view piece);

 private:
  std::vector<int32_t> tokens_;
  std::vector<uint32_t> run_lengths_;  // run_lengths_[p]: how many tokens in a row equal the one p before
  std::string last_piece_;
  uint32_t equal_pieces_ = 0;
};

}  // namespace quipu
