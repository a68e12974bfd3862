// The tokens that may come next, and the steps that narrow them down. Each step works in place on what the
// one before left. Better means a larger logit, and among equal ones the smaller id.
//
// Threads: as the memory they work on; nothing is shared.
#pragma once

#include <cstdint>
#include <span>

#include "sampling/token_window.h"

namespace quipu {

struct Candidate {
  int32_t id;
  float logit;
};

namespace sampling {

struct Candidates {
  std::span<Candidate> items;
  bool sorted = false;  // best first; else in order of ids, or of typicality
};

// What a logit counts as: NaN as minus infinity, plus infinity as the largest number.
float sane(float logit);

// The best token alone; -1 when no logit is above minus infinity.
int32_t best_token(std::span<const float> logits, const Penalties& penalties);

// The k best tokens, sorted; those at minus infinity are left out. One pass, with work beyond a comparison
// only for logits among the best k so far. `memory` has room for every logit; the first 2k places are used. 1
// <= k.
Candidates top_k(std::span<const float> logits, const Penalties& penalties, int64_t k,
                 std::span<Candidate> memory);

// All tokens in order of their ids.
Candidates all_tokens(std::span<const float> logits, const Penalties& penalties, std::span<Candidate> memory);

// These need a finite logit among the candidates, and leave at least one candidate.
void keep_typical(Candidates& c,
                  float p);  // the fewest whose surprise is nearest to the mean and that sum to more than p
void keep_top_p(Candidates& c, float p);  // the fewest best that sum to p or more
void keep_min_p(Candidates& c, float p);  // those at least p times as likely as the best

}  // namespace sampling
}  // namespace quipu
