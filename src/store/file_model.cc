#include "store/file_model.h"

#include <sys/stat.h>

#include "store/gguf_header.h"

namespace quipu::store {

Result<ModelInfo> read_file_model(const std::string& path) {
  QUIPU_ASSIGN(const GgufHeader header, GgufHeader::read(path));
  ModelInfo info;
  info.name = parse_model_name("file");
  info.model_path = path;
  auto facts = std::make_shared<GgufFacts>(facts_of(header));
  info.config.model_format = "gguf";
  info.config.model_family = facts->architecture;
  info.config.model_families = {facts->architecture};
  info.config.model_type = format_parameter_count(facts->parameter_count);
  info.config.file_type = facts->file_type;
  struct stat times{};
  if (stat(path.c_str(), &times) == 0)
    info.modified_ns = static_cast<int64_t>(times.st_mtim.tv_sec) * 1'000'000'000 + times.st_mtim.tv_nsec;
  info.facts = std::move(facts);
  derive(info);
  return info;
}

}  // namespace quipu::store
