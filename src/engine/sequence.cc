#include "engine/sequence.h"

namespace quipu {

namespace {

Clock::time_point deadline(Clock::time_point start, double seconds) {
  constexpr double kYear = 365 * 86400.0;  // longer is for ever, and would overflow the clock
  if (!(seconds > 0 && seconds < kYear)) return Clock::time_point::max();
  return start + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

}  // namespace

Sequence::Sequence(uint64_t id, std::vector<Token> tokens, const RunLimits& limits)
    : submitted_(Clock::now()),
      id_(id),
      limits_(limits),
      deadline_(deadline(submitted_, limits.max_seconds)) {
  cache_.tokens = std::move(tokens);
}

void Sequence::start(kv::BlockTable table, int64_t n_stored) {
  cache_.table = std::move(table);
  cache_.n_stored = n_stored;
  if (!started_) started_ = Clock::now();
}

void Sequence::pause() {
  cache_.table.truncate(0);
  cache_.n_stored = 0;
}

}  // namespace quipu
