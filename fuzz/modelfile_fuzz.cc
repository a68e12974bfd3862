// Any bytes as a Modelfile: what is read can be written and read again, and parameters have a value or an
// error.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/go_json.h"
#include "modelfile/modelfile.h"
#include "modelfile/parameters.h"

namespace {

using namespace quipu::modelfile;

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto file = parse_modelfile({reinterpret_cast<const char*>(data), size});
  if (!file) {
    require(!file.error().message.empty());
    return 0;
  }
  (void)parse_modelfile(format_modelfile(*file));
  nlohmann::json parameters = nlohmann::json::object();
  for (const Command& command : file->commands) {
    const auto value = parse_parameter(command.name, std::span(&command.args, 1));
    if (value) set_parameter(parameters, command.name, *value);
    require(value || !value.error().message.empty());
  }
  const auto converted = convert_options(parameters);
  require(converted && converted->unknown.empty());
  (void)format_parameters(parameters);
  require(nlohmann::json::accept(quipu::go_json(parameters)));
  return 0;
}
