// A line of a runner's log (base/log.h writes it) read back, so that it can go on in ours at its own level.
#pragma once

#include <string>
#include <string_view>

#include "base/log.h"

namespace quipu::fleet {

struct LogLine {
  spdlog::level::level_enum level =
      spdlog::level::warn;  // of what is no log line: somebody wrote it for a reason
  std::string text;         // without control characters
};

LogLine parse_log_line(std::string_view line);

}  // namespace quipu::fleet
