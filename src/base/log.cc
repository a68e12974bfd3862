#include "base/log.h"

#include <cstdlib>
#include <string_view>

#include <spdlog/sinks/stdout_sinks.h>

namespace quipu {

void init_log(bool verbose) {
  auto logger = spdlog::get("quipu");
  if (!logger) logger = spdlog::stderr_logger_mt("quipu");
  const char* format = std::getenv("QUIPU_LOG_FORMAT");
  if (format != nullptr && std::string_view(format) == "json")
    logger->set_pattern(R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l","pid":%P,"message":"%v"})");
  else
    logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e %L %v");
  const char* debug = std::getenv("OLLAMA_DEBUG");
  const bool debugging = debug != nullptr && *debug != '\0' && std::string_view(debug) != "0" &&
                         std::string_view(debug) != "false";
  logger->set_level(debugging ? spdlog::level::debug : verbose ? spdlog::level::info : spdlog::level::warn);
  spdlog::set_default_logger(logger);
}

}  // namespace quipu
