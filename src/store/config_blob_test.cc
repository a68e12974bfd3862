#include "store/config_blob.h"

#include <gtest/gtest.h>

namespace quipu::store {
namespace {

TEST(ConfigBlob, KeysInTheirOrder) {
  ConfigBlob config{.model_format = "gguf",
                    .model_family = "llama",
                    .model_families = {"llama", "clip"},
                    .model_type = "134.52M",
                    .file_type = "Q4_1",
                    .renderer = "r",
                    .parser = "p",
                    .requires_version = "0.14.0",
                    .remote_host = "h",
                    .remote_model = "m",
                    .capabilities = {"tools"},
                    .context_length = 1,
                    .embedding_length = 2,
                    .base_name = "b",
                    .draft = ConfigBlob::Draft{"gguf", "llama"}};
  const std::string text =
      R"({"model_format":"gguf","model_family":"llama","model_families":["llama","clip"],"model_type":"134.52M",)"
      R"("file_type":"Q4_1","renderer":"r","parser":"p","requires":"0.14.0","remote_host":"h","remote_model":"m",)"
      R"("capabilities":["tools"],"context_length":1,"embedding_length":2,"base_name":"b",)"
      R"("draft":{"model_format":"gguf","architecture":"llama"},"architecture":"amd64","os":"linux"})"
      "\n";
  EXPECT_EQ(format_config(config), text);
  EXPECT_EQ(*parse_config(text), config);
}

TEST(ConfigBlob, AlmostEmpty) {
  const std::string text =
      R"({"model_format":"","model_family":"","model_families":null,"model_type":"","file_type":"","architecture":"amd64","os":"linux"})"
      "\n";
  EXPECT_EQ(format_config({}), text);
  EXPECT_EQ(*parse_config(text), ConfigBlob());
  EXPECT_EQ(*parse_config("{}"), ConfigBlob());
}

TEST(ConfigBlob, OfOtherVersions) {
  const auto old = parse_config(
      R"({"model_format":"gguf","model_families":["a"],"rootfs":{"type":"layers","diff_ids":["sha256:x"]},"future":1})");
  ASSERT_TRUE(old);
  EXPECT_EQ(old->model_families, std::vector<std::string>{"a"});
  for (const char* bad : {"", "[]", R"({"model_type":1})", R"({"model_families":"a"})",
                          R"({"model_families":[1]})", R"({"context_length":-1})",
                          R"({"context_length":"1"})", R"({"draft":[]})", R"({"draft":{"architecture":1}})"})
    EXPECT_EQ(parse_config(bad).error().code, Code::kCorrupt) << bad;
}

}  // namespace
}  // namespace quipu::store
