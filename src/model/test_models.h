// The tiny reference models of testdata/models, unpacked for a test. Tests only.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/test_data.h"

namespace quipu::test {

struct TestModel {
  std::string path;  // an unpacked file, removed with the object
  std::vector<int32_t> tokens;
  int64_t first_row = 0, n_rows = 0, n_vocab = 0;  // which rows the reference has
  double max_tolerance = 0;                        // 0: not given
  double max_rounded = 0, rms_rounded = 0;         // with int8 activations
  std::vector<float> logits;                       // [n_rows, n_vocab]

  explicit TestModel(const std::string& name) {
    const std::string base = std::string(QUIPU_TESTDATA) + "/models/" + name;
    path =
        (std::filesystem::temp_directory_path() / (name + "." + std::to_string(getpid()) + ".gguf")).string();
    const std::string bytes = read_xz(base + ".gguf.xz");
    std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    const auto j = nlohmann::json::parse(read_file(base + ".json"));
    tokens = j["tokens"].get<std::vector<int32_t>>();
    first_row = j["positions"][0].get<int64_t>();
    n_rows = j["rows"].get<int64_t>();
    n_vocab = j["columns"].get<int64_t>();
    const auto& t = j["tolerance"];
    max_tolerance = t.value("max", 0.0);
    max_rounded = t.value("max_with_rounded_activations", 0.0);
    rms_rounded = t.value("rms_with_rounded_activations", 0.0);
    logits = floats(read_file(base + ".logits.f32"));
  }
  ~TestModel() { std::filesystem::remove(path); }
  TestModel(const TestModel&) = delete;
  TestModel& operator=(const TestModel&) = delete;
};

}  // namespace quipu::test
