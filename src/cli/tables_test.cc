#include <gtest/gtest.h>

#include "cli/model_tables.h"
#include "cli/show_text.h"
#include "cli/text_table.h"

namespace quipu::cli {

namespace {

const Moment kNow = *parse_moment("2026-11-23T22:40:09Z");

TEST(Tables, ListIsOllamasByteForByte) {
  const Json tags =
      Json::parse(R"({"models":[{"name":"smol:latest","digest":"4109e3b4edca0000","size":98362432,
      "modified_at":"2026-11-23T22:40:08.5Z"}]})");
  EXPECT_EQ(list_text(tags, "", kNow),
            "NAME           ID              SIZE     MODIFIED               \n"
            "smol:latest    4109e3b4edca    98 MB    Less than a second ago    \n");
  EXPECT_EQ(list_text(Json::parse(R"({"models":[]})"), "", kNow), "NAME    ID    SIZE    MODIFIED \n");
  EXPECT_EQ(list_text(Json(), "", kNow), "NAME    ID    SIZE    MODIFIED \n");
}

TEST(Tables, ListPadsAndFilters) {
  const Json tags = Json::parse(R"({"models":[
      {"name":"b:1","digest":"aaaaaaaaaaaaaaaa","size":9600000000,"modified_at":"2026-11-20T22:40:09+00:00"},
      {"name":"A/long-name:latest","digest":"bbbbbbbbbbbbbbbb","size":5,"modified_at":"0001-01-01T00:00:00Z"}]})");
  EXPECT_EQ(list_text(tags, "", kNow),
            "NAME                  ID              SIZE      MODIFIED   \n"
            "b:1                   aaaaaaaaaaaa    9.6 GB    3 days ago    \n"
            "A/long-name:latest    bbbbbbbbbbbb    5 B       Never         \n");
  EXPECT_EQ(list_text(tags, "a/LONG", kNow),
            "NAME                  ID              SIZE    MODIFIED \n"
            "A/long-name:latest    bbbbbbbbbbbb    5 B     Never       \n");
}

Json loaded(uint64_t size, uint64_t vram, const char* expires) {
  return {{"name", "smol:latest"}, {"digest", "4109e3b4edca00"}, {"size", size},
          {"size_vram", vram},     {"context_length", 1024},     {"expires_at", expires}};
}

TEST(Tables, PsIsOllamasByteForByte) {
  const Json ps = {{"models", {loaded(223'063'572, 0, "2026-11-23T22:45:08.568769587Z")}}};
  EXPECT_EQ(ps_text(ps, "", kNow),
            "NAME           ID              SIZE      PROCESSOR    CONTEXT    UNTIL              \n"
            "smol:latest    4109e3b4edca    223 MB    100% CPU     1024       4 minutes from now    \n");
  EXPECT_EQ(ps_text(ps, "S", kNow), "NAME    ID    SIZE    PROCESSOR    CONTEXT    UNTIL \n");  // case counts
}

TEST(Tables, PsSaysWhereAndUntilWhen) {
  const auto cell = [](uint64_t size, uint64_t vram, const char* expires) {
    return ps_text({{"models", {loaded(size, vram, expires)}}}, "", kNow);
  };
  EXPECT_NE(cell(10, 10, "2026-11-23T22:40:00Z").find("100% GPU "), std::string::npos);
  EXPECT_NE(cell(100, 25, "2026-11-23T22:40:00Z").find("75%/25% CPU/GPU "), std::string::npos);
  EXPECT_NE(cell(10, 11, "2026-11-23T22:40:00Z").find("Unknown "), std::string::npos);
  EXPECT_NE(cell(10, 0, "2026-11-23T22:40:00Z").find("Stopping... "), std::string::npos);
  EXPECT_NE(cell(10, 0, "0001-01-01T00:00:00Z").find("Stopping... "), std::string::npos);
  EXPECT_NE(cell(10, 0, "2319-11-23T22:40:00Z").find("Forever "), std::string::npos);
}

TEST(Tables, PsMemory) {
  Json ps = {{"models", {loaded(1, 0, "")}}};
  EXPECT_EQ(ps_memory_text(ps, ""), "");
  ps["models"][0]["quipu"]["memory"] = {{"kv", {{"planned", 1024}, {"measured", 1024}}}};
  EXPECT_EQ(
      ps_memory_text(ps, ""),
      "\nsmol:latest\nmemory             planned    measured\n  kv               1.0 KiB     1.0 KiB\n");
  EXPECT_EQ(ps_memory_text(ps, "x"), "");
}

TEST(Tables, PsLedger) {
  const Json ps = Json::parse(R"({"models":[{"name":"seeing:latest","quipu":{"memory":{
      "weights":{"planned":98362432,"measured":98365440},"projector":{"planned":8388608,"measured":8392704},
      "kv":{"planned":6291456,"ceiling":100663296,"bytes_per_token":12288,"type":"q8_0:q8_0","measured":6291456,
            "in_use":1179648,"cached":4718592},
      "workspace":{"planned":5642176,"measured":5644288},"output":{"planned":1198080,"measured":1200128},
      "runtime":{"planned":8763424,"measured":6272000},"total":{"planned":128646176,"measured":126342144},
      "unexplained":176128}}}],
    "quipu":{"memory":{"total":{"measured":7092224}},
      "machine":{"total":25276514304,"available":24034500608,"budget":419430400,"admitted":139131936,"free":280298464,
                 "terms":[{"name":"MemAvailable","bytes":24044371968},{"name":"QUIPU_MEMORY","bytes":419430400}]}}})");
  EXPECT_EQ(ps_memory_text(ps, ""),
            "\nseeing:latest\n"
            "memory             planned    measured\n"
            "  weights         93.8 MiB    93.8 MiB\n"
            "  projector        8.0 MiB     8.0 MiB\n"
            "  kv               6.0 MiB     6.0 MiB   1.1 MiB in use, 4.5 MiB cached, 384.0 KiB reserved; up "
            "to 96.0 MiB\n"
            "  workspace        5.4 MiB     5.4 MiB\n"
            "  output           1.1 MiB     1.1 MiB\n"
            "  runtime          8.4 MiB     6.0 MiB\n"
            "  total          122.7 MiB   120.5 MiB\n"
            "  unexplained                172.0 KiB\n"
            "\n"
            "server                         6.8 MiB   this process alone\n"
            "budget                       400.0 MiB   132.7 MiB admitted, 267.3 MiB free\n"
            "bounded by                   400.0 MiB   QUIPU_MEMORY\n");
}

const char* const kShown = R"({
  "license":"MIT\n\nline2\nline3\n","system":"You are helpful.",
  "parameters":"temperature                    0.5\nnum_ctx                        1024\nstop                           \"<|im_end|>\"\nstop                           \"<|im_start|>\"",
  "details":{"family":"llama","parameter_size":"134.52M","quantization_level":"Q4_1"},
  "model_info":{"general.architecture":"llama","llama.context_length":8192,"llama.embedding_length":576,
     "general.parameter_count":134515008,"tokenizer.ggml.add_bos_token":false,"tokenizer.ggml.tokens":null,
     "llama.rope.freq_base":100000,"a.list":["<|endoftext|>","b","c"],"b.list":[1,2,3,4,5,6],"c.list":[1,2]},
  "tensors":[{"name":"output_norm.weight","type":"F32","shape":[576]},{"name":"blk.0.attn_k.weight","type":"Q4_1","shape":[576,192]}],
  "capabilities":["completion"]})";

TEST(Tables, ShowIsOllamasByteForByte) {
  EXPECT_EQ(show_text(Json::parse(kShown), false),
            "  Model\n"
            "    architecture        llama      \n"
            "    parameters          134.52M    \n"
            "    context length      8192       \n"
            "    embedding length    576        \n"
            "    quantization        Q4_1       \n"
            "\n"
            "  Capabilities\n"
            "    completion    \n"
            "\n"
            "  Parameters\n"
            "    temperature    0.5               \n"
            "    num_ctx        1024              \n"
            "    stop           \"<|im_end|>\"      \n"
            "    stop           \"<|im_start|>\"    \n"
            "\n"
            "  System\n"
            "    You are helpful.    \n"
            "\n"
            "  License\n"
            "    MIT      \n"
            "    line2    \n"
            "    ...      \n"
            "\n");
}

TEST(Tables, ShowInFull) {
  const std::string text = show_text(Json::parse(kShown), true);
  EXPECT_NE(text.find("  Metadata\n    a.list                          [<|endoftext|> ...+2 more]    \n"),
            std::string::npos)
      << text;
  for (const char* row :
       {"b.list                          [1 2 3 ...+3 more]", "c.list                          [1 2]",
        "general.parameter_count         1.34515008e+08", "tokenizer.ggml.add_bos_token    false",
        "tokenizer.ggml.tokens           <nil>", "llama.rope.freq_base            100000",
        "  Tensors\n    output_norm.weight     F32     [576]        \n    blk.0.attn_k.weight    Q4_1    "
        "[576 192]    \n"})
    EXPECT_NE(text.find(row), std::string::npos) << row << "\n" << text;
  EXPECT_LT(text.find("  Parameters\n"), text.find("  Metadata\n"));
  EXPECT_LT(text.find("  Tensors\n"), text.find("  System\n"));
}

TEST(Tables, ShowOfAProjector) {
  const Json shown = Json::parse(R"({"details":{"family":"gemma3","parameter_size":"4.3B"},"requires":"0.6.0",
      "capabilities":["completion","vision"],
      "projector_info":{"general.architecture":"clip","general.parameter_count":419828096,
          "clip.vision.embedding_length":1152,"clip.vision.projection_dim":2560}})");
  EXPECT_EQ(show_text(shown, false),
            "  Model\n    architecture    gemma3    \n    parameters      4.3B      \n    requires        "
            "0.6.0     \n\n"
            "  Capabilities\n    completion    \n    vision        \n\n"
            "  Projector\n    architecture        clip       \n    parameters          419.83M    \n"
            "    embedding length    1152       \n    dimensions          2560       \n\n");
  EXPECT_TRUE(sees_files(shown));
  EXPECT_TRUE(has_capability(shown, "vision"));
  EXPECT_FALSE(has_capability(shown, "tools"));
}

TEST(Tables, OddAnswersAreHarmless) {
  for (const char* odd :
       {"null", "[]", "{}", R"({"model_info":5,"capabilities":{},"tensors":7,"parameters":[],"system":1})",
        R"({"model_info":{"general.architecture":7},"details":[]})", R"({"models":{"a":1}})"}) {
    const Json json = Json::parse(odd);
    EXPECT_TRUE(show_text(json, true).starts_with("  Model\n")) << odd;
    EXPECT_TRUE(list_text(json, "", kNow).starts_with("NAME")) << odd;
    EXPECT_TRUE(ps_text(json, "", kNow).starts_with("NAME")) << odd;
    EXPECT_EQ(trained_context(json), 0);
  }
}

TEST(Tables, WideCharactersCountTwice) {
  EXPECT_EQ(display_width("世界"), 4u);
  EXPECT_EQ(display_width("Grüße"), 5u);
  EXPECT_EQ(block("T", {{"世界", "x"}, {"abcd", "y"}}), "  T\n    世界    x    \n    abcd    y    \n\n");
}

TEST(Tables, HeadOfAText) {
  EXPECT_EQ(head_of("", 2), Rows{});
  EXPECT_EQ(head_of("\n \n a \n", 2), (Rows{{"a"}}));
  EXPECT_EQ(head_of("a\r\nb\n\n", 2), (Rows{{"a"}, {"b"}}));
  EXPECT_EQ(head_of("a\nb\nc", 2), (Rows{{"a"}, {"b"}, {"..."}}));
}

}  // namespace

}  // namespace quipu::cli
