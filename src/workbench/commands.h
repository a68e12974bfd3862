// The commands that open a model file in this very process. Each takes the arguments after its name and
// returns the exit code: 0 success, 1 failure, 2 wrong usage. Results go to stdout, everything else to
// stderr.
#pragma once

#include <span>
#include <string>

namespace quipu::workbench {

int plan_command(std::span<const std::string> args);    // what a file will take, category by category
int fit_command(std::span<const std::string> args);     // which quantisation suits this machine
int doctor_command(std::span<const std::string> args);  // what holds this machine back
int bench_command(
    std::span<const std::string> args);  // speed of prefill and decode, beside the machine's limits
int tokenize_command(std::span<const std::string> args);  // text to token ids and back
int logits_command(std::span<const std::string> args);    // logits of given token ids, to a file
int perplexity_command(
    std::span<const std::string> args);  // perplexity of a text, and KL divergence against a base

}  // namespace quipu::workbench
