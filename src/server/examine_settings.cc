#include "server/examine_settings.h"

#include <fmt/format.h>

#include <set>
#include <string>

#include "base/log.h"

namespace quipu::server {

namespace {

// The variable that a sentence begins with; empty: none.
std::string variable_of(const std::string& sentence) {
  const size_t n = sentence.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ_");
  const std::string name = sentence.substr(0, n);
  return name.starts_with("QUIPU_") || name.starts_with("OLLAMA_") ? name : "";
}

}  // namespace

std::vector<doctor::Finding> examine_settings(const Config& config) {
  using doctor::Status;
  std::vector<doctor::Finding> out;
  std::set<std::string> told = {"QUIPU_THREADS", "QUIPU_ISA"};
  const auto add = [&](Status status, const std::string& sentence, const std::string& name) {
    if (name.empty() || told.insert(name).second)
      out.push_back({"settings", status, sentence,
                     fmt::format("correct or unset {}", name.empty() ? "QUIPU_HOST (OLLAMA_HOST)" : name)});
  };
  for (const std::string& sentence : config.warnings) add(Status::kWarn, sentence, variable_of(sentence));
  // The log's own, which it has told itself.
  if (const std::string sentence = bad_log_format(); !sentence.empty())
    add(Status::kWarn, sentence, variable_of(sentence));
  if (out.empty()) out.push_back({"settings", Status::kOk, "all make sense"});
  return out;
}

}  // namespace quipu::server
