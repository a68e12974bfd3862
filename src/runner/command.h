// `quipu runner`: the process that holds one model. Its protocol: docs/runner-protocol.md.
#pragma once

#include <span>
#include <string>

namespace quipu::runner {

int runner_command(std::span<const std::string> args);

}  // namespace quipu::runner
