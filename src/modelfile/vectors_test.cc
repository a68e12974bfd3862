// Modelfiles and names against Ollama's own results (testdata/modelfile).
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/test_data.h"
#include "modelfile/create_request.h"
#include "modelfile/model_name.h"
#include "modelfile/modelfile.h"

namespace quipu::modelfile {
namespace {

using nlohmann::json;

std::vector<json> cases(const char* file) {
  std::vector<json> out;
  for (const std::string& line :
       test::lines(test::read_file(std::string(QUIPU_TESTDATA "/modelfile/") + file)))
    out.push_back(json::parse(line));
  return out;
}

std::string from_hex(const std::string& hex) {
  std::string out;
  for (size_t i = 0; i < hex.size(); i += 2)
    out += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return out;
}

std::string with_folder(std::string text, const std::string& folder) {
  for (size_t at; (at = text.find("{dir}")) != std::string::npos;) text.replace(at, 5, folder);
  return text;
}

class Folder {
 public:
  explicit Folder(const json& files) {
    std::string name = testing::TempDir() + "quipu-modelfile-XXXXXX";
    if (mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
    for (const auto& [file, content] : files.items())
      std::ofstream(path_ + "/" + file, std::ios::binary) << content.get<std::string>();
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// The body with the files' own paths rather than the names that are sent.
json with_paths(const CreateRequest& request) {
  json body = to_json(request);
  const auto put = [&](const char* key, const FileDigests& files) {
    if (files.empty()) return;
    body[key] = json::object();
    for (const auto& [path, digest] : files) body[key][path] = digest.text();
  };
  put("files", request.files);
  put("adapters", request.adapters);
  put("draft_files", request.draft_files);
  return body;
}

TEST(ModelfileVectors, All) {
  const auto all = cases("modelfiles.jsonl");
  ASSERT_EQ(all.size(), 81u);
  for (const json& c : all) {
    SCOPED_TRACE(c["case"].get<std::string>());
    const std::string text = c.contains("hex") ? from_hex(c["hex"]) : c["text"].get<std::string>();
    const auto parsed = parse_modelfile(text);
    if (c.contains("error")) {
      ASSERT_FALSE(parsed);
      EXPECT_EQ(parsed.error().message, c["error"].get<std::string>());
      EXPECT_EQ(parsed.error().code, Code::kInvalidArgument);
      continue;
    }
    ASSERT_TRUE(parsed) << parsed.error().message;
    json commands = json::array();
    for (const Command& command : parsed->commands)
      commands.push_back({{"name", command.name}, {"args", command.args}});
    EXPECT_EQ(commands, c["commands"]);
    EXPECT_EQ(format_modelfile(*parsed), c["text_again"].get<std::string>());

    const Folder folder(c.value("files", json::object()));
    const auto request = make_create_request(*parsed, folder.path());
    if (c.contains("request_error")) {
      ASSERT_FALSE(request);
      EXPECT_EQ(request.error().message, with_folder(c["request_error"], folder.path()));
    } else {
      ASSERT_TRUE(request) << request.error().message;
      EXPECT_EQ(with_paths(*request), json::parse(with_folder(c["request"].dump(), folder.path())));
    }
  }
}

TEST(NameVectors, All) {
  const auto all = cases("names.jsonl");
  ASSERT_EQ(all.size(), 131u);
  for (const json& c : all) {
    const std::string text = c["name"];
    SCOPED_TRACE(text);
    const auto parts = [](const ModelName& n) {
      return json{{"scheme", n.scheme},
                  {"host", n.host},
                  {"namespace", n.namespace_},
                  {"model", n.model},
                  {"tag", n.tag}};
    };
    const ModelName bare = parse_bare_name(text), name = parse_model_name(text);
    json expected = c["bare"];
    EXPECT_EQ(bare.is_valid(), expected["fully_qualified"].get<bool>());
    expected.erase("fully_qualified");
    EXPECT_EQ(parts(bare), expected);
    EXPECT_EQ(name.is_valid(), c["valid"].get<bool>());
    const json whole = parts(name);
    for (const auto& [key, value] : whole.items()) EXPECT_EQ(value, c[key]) << key;
    if (!name.is_valid()) continue;
    EXPECT_EQ(name.full_name(), c["string"].get<std::string>());
    EXPECT_EQ(name.short_name(), c["short"].get<std::string>());
    EXPECT_EQ(name.manifest_path(), c["path"].get<std::string>());
    const auto back = name_of_manifest_path(name.manifest_path());
    ASSERT_TRUE(back);
    EXPECT_TRUE(back->same_model(name));
  }
}

}  // namespace
}  // namespace quipu::modelfile
