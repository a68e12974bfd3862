#include "store/gguf_facts.h"

#include "store/gguf_json.h"
#include "store/store_fixture.h"

namespace quipu::store {
namespace {

using test::Folder;
using test::TinyGguf;

class GgufFactsTest : public testing::Test {
 protected:
  GgufFacts facts(const TinyGguf& file) {
    test::write_to(folder_ / "x.gguf", file.bytes());
    const auto header = GgufHeader::read(folder_ / "x.gguf");
    EXPECT_TRUE(header) << header.error().message;
    return header ? facts_of(*header) : GgufFacts();
  }
  Folder folder_;
};

TEST_F(GgufFactsTest, OfAModel) {
  const GgufFacts f = facts({.chat_template = "{{ messages }}", .file_type = 15});
  EXPECT_EQ(f.architecture, "llama");
  EXPECT_EQ(f.parameter_count, 2u * 32 * 32);
  EXPECT_EQ(f.file_type, "Q4_K_M");
  EXPECT_EQ(f.context_length, 128u);
  EXPECT_EQ(f.embedding_length, 32u);
  EXPECT_EQ(f.chat_template, "{{ messages }}");
  EXPECT_TRUE(f.has_blocks);
  EXPECT_FALSE(f.has_pooling || f.has_vision || f.has_audio || f.is_adapter() || f.is_projector());
  EXPECT_TRUE(facts({.pooling = true}).has_pooling);
  EXPECT_EQ(facts({.numbers = {{"general.parameter_count", 7}}}).parameter_count, 7u);
}

TEST_F(GgufFactsTest, OfWhatLiesBesideModels) {
  EXPECT_TRUE(facts({.kind = "adapter"}).is_adapter());
  EXPECT_TRUE(facts({.kind = "mmproj"}).is_projector());
  EXPECT_TRUE(facts({.kind = "projector"}).is_projector());
  EXPECT_TRUE(facts({.architecture = "clip", .blocks = 0, .flags = {{"clip.has_vision_encoder", true}}})
                  .is_projector());
  EXPECT_FALSE(facts({.architecture = "clip", .blocks = 0, .flags = {{"clip.has_vision_encoder", false}}})
                   .is_projector());
  EXPECT_TRUE(
      facts({.architecture = "x", .blocks = 0, .numbers = {{"x.vision.block_count", 2}}}).is_projector());
  EXPECT_FALSE(
      facts({.architecture = "x", .blocks = 1, .numbers = {{"x.vision.block_count", 2}}}).is_projector());
  EXPECT_TRUE(facts({.architecture = "x", .numbers = {{"x.vision.block_count", 2}}}).has_vision);
}

TEST_F(GgufFactsTest, FilesThatAreNone) {
  EXPECT_EQ(GgufHeader::read(folder_ / "none").error().code, Code::kNotFound);
  EXPECT_EQ(GgufHeader::read(folder_ / "none").error().message,
            "open " + (folder_ / "none") + ": no such file or directory");
  EXPECT_FALSE(GgufHeader::read(folder_.path()));
  for (const std::string& content :
       {std::string(), std::string("GG"), std::string("GGUF"), std::string("hello blob")}) {
    test::write_to(folder_ / "x", content);
    EXPECT_FALSE(GgufHeader::read(folder_ / "x")) << content;
    EXPECT_EQ(looks_like_gguf(folder_ / "x"), content == "GGUF");
  }
  // A header that ends early, at every length.
  const std::string whole = TinyGguf().bytes();
  for (size_t n = 0; n < whole.size(); n += 7) {
    test::write_to(folder_ / "x", whole.substr(0, n));
    const auto header = GgufHeader::read(folder_ / "x");
    EXPECT_TRUE(!header || header->expected_bytes() > header->file_bytes()) << n;
  }
  test::write_to(folder_ / "x", whole);
  const auto header = GgufHeader::read(folder_ / "x");
  ASSERT_TRUE(header);
  EXPECT_LE(header->expected_bytes(), header->file_bytes());
}

TEST_F(GgufFactsTest, TensorsAreWhereTheHeaderSays) {
  test::write_to(folder_ / "x", TinyGguf().bytes());
  const auto header = GgufHeader::read(folder_ / "x");
  const auto mapped = gguf::File::open(folder_ / "x");
  ASSERT_TRUE(header && mapped);
  const std::string content = test::content_of(folder_ / "x");
  const auto tensors = (*mapped)->tensors();
  ASSERT_EQ(header->tensor_offsets().size(), tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    const std::string_view data(reinterpret_cast<const char*>(tensors[i].data.data()),
                                tensors[i].data.size());
    EXPECT_EQ(content.substr(header->tensor_offsets()[i], data.size()), data);
  }
}

// Longer than what is read at first.
TEST_F(GgufFactsTest, LongHeaders) {
  gguf::Writer writer;
  writer.add_string("general.architecture", "llama");
  const std::vector<std::string> tokens(300'000, "some token text");
  writer.add_strings("tokenizer.ggml.tokens", tokens);
  writer.add_uint32("llama.context_length", 77);
  ASSERT_TRUE(writer.write(folder_ / "long"));
  const auto header = GgufHeader::read(folder_ / "long");
  ASSERT_TRUE(header) << header.error().message;
  EXPECT_EQ(facts_of(*header).context_length, 77u);
}

TEST_F(GgufFactsTest, AreKeptByDigestAsLongAsTheFileIsThere) {
  const std::string path = folder_ / "x";
  test::write_to(path, TinyGguf().bytes());
  GgufFactsCache cache;
  const auto first = cache.get(digest_of("x"), path);
  ASSERT_TRUE(first);
  EXPECT_EQ(*cache.get(digest_of("x"), path), *first);
  std::filesystem::remove(path);
  EXPECT_FALSE(cache.get(digest_of("x"), path));
}

TEST(GgufNames, FileTypesAndCounts) {
  EXPECT_EQ(file_type_name(3), "Q4_1");
  EXPECT_EQ(file_type_name(38), "MXFP4_MOE");
  EXPECT_EQ(file_type_name(0), "unknown");
  EXPECT_EQ(file_type_name(4), "unknown");
  EXPECT_EQ(file_type_name(UINT64_MAX), "unknown");
  EXPECT_EQ(format_parameter_count(999), "999");
  EXPECT_EQ(format_parameter_count(998'016), "998K");
  EXPECT_EQ(format_parameter_count(134'515'008), "134.52M");
  EXPECT_EQ(format_parameter_count(7'000'000), "7M");
  EXPECT_EQ(format_parameter_count(8'030'261'312), "8.0B");
  EXPECT_EQ(format_parameter_count(8'000'000'000), "8B");
}

TEST_F(GgufFactsTest, AsJson) {
  TinyGguf file{.chat_template = "t", .numbers = {{"a.key", 5}}, .flags = {{"z.flag", false}}};
  test::write_to(folder_ / "x", file.bytes());
  const auto header = GgufHeader::read(folder_ / "x");
  ASSERT_TRUE(header);
  EXPECT_EQ(
      metadata_json(header->file(), false).dump(),
      R"({"a.key":5,"general.architecture":"llama","general.file_type":1,"general.parameter_count":2048,"general.quantization_version":2,)"
      R"("llama.attention.layer_norm_rms_epsilon":1e-05,"llama.block_count":1,"llama.context_length":128,)"
      R"("llama.embedding_length":32,"llama.rope.freq_base":100000.0,"tokenizer.ggml.tokens":null,"z.flag":false})");
  const auto verbose = metadata_json(header->file(), true, "base");
  EXPECT_EQ(verbose["tokenizer.ggml.tokens"], (nlohmann::ordered_json{"a", "b<", "\ufffd"}));
  EXPECT_EQ(verbose["general.basename"], "base");
  EXPECT_EQ(
      tensors_json(header->file()).dump(),
      R"([{"name":"token_embd.weight","type":"F16","shape":[32,32]},{"name":"blk.0.attn_q.weight","type":"F16","shape":[32,32]}])");
}

}  // namespace
}  // namespace quipu::store
