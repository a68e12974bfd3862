#include "modelfile/parameters.h"

#include <gtest/gtest.h>

#include <limits>

namespace quipu::modelfile {
namespace {

using nlohmann::json;

json from_text(std::string_view name, std::vector<std::string> values) {
  const auto v = parse_parameter(name, values);
  return v ? *v : json("refused: " + v.error().message);
}

TEST(Parameters, FromText) {
  EXPECT_EQ(from_text("num_ctx", {"8192"}), json(8192));
  EXPECT_EQ(from_text("temperature", {"0.7"}).dump(),
            "0.7");  // the float's digits, not the double's next to it
  EXPECT_EQ(from_text("temperature", {"0.1234567891"}).dump(), "0.12345679");
  EXPECT_EQ(from_text("use_mmap", {"T"}), json(true));
  EXPECT_EQ(from_text("stop", {"a", "b"}), json({"a", "b"}));
  EXPECT_EQ(from_text("kv_cache_type", {"q8_0"}), json("q8_0"));
  EXPECT_EQ(from_text("repeat_guard", {"false"}), json(false));
  EXPECT_EQ(from_text("max_seconds", {"2.5"}), json(2.5));
}

TEST(Parameters, RefusedText) {
  EXPECT_EQ(from_text("foo", {"1"}), json("refused: unknown parameter 'foo'"));
  EXPECT_EQ(from_text("", {"top_k 1"}), json("refused: unknown parameter ''"));
  EXPECT_EQ(from_text("num_ctx", {"abc", "d"}), json("refused: invalid int value [abc d]"));
  EXPECT_EQ(from_text("top_p", {"hot"}), json("refused: invalid float value [hot]"));
  EXPECT_EQ(from_text("use_mmap", {"maybe"}), json("refused: invalid bool value [maybe]"));
  EXPECT_EQ(from_text("seed", {}), json("refused: invalid int value []"));
}

TEST(Parameters, ListsGrowOthersAreReplaced) {
  json object = json::object();
  set_parameter(object, "stop", {"a"});
  set_parameter(object, "top_k", 1);
  set_parameter(object, "stop", {"b"});
  set_parameter(object, "top_k", 2);
  EXPECT_EQ(object, json::parse(R"({"stop":["a","b"],"top_k":2})"));
}

TEST(Parameters, OptionsAreConverted) {
  const auto got = convert_options(json::parse(
      R"({"num_ctx":4096.9,"seed":-1.9,"num_predict":1e300,"top_k":-1e300,"num_keep":18446744073709551615,"temperature":1,
          "use_mmap":false,"stop":[],"num_gpu":null,"nonsense":1,"mirostat":2,"numa":true,"kv_cache_type":"f16"})"));
  ASSERT_TRUE(got) << got.error().message;
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max(), kLeast = std::numeric_limits<int64_t>::min();
  EXPECT_EQ(got->known, (json{{"num_ctx", 4096},
                              {"seed", -1},
                              {"num_predict", kMost},
                              {"top_k", kLeast},
                              {"num_keep", kMost},
                              {"temperature", 1.0},
                              {"use_mmap", false},
                              {"stop", json::array()},
                              {"kv_cache_type", "f16"}}));
  EXPECT_TRUE(got->known["num_ctx"].is_number_integer());
  EXPECT_TRUE(got->known["temperature"].is_number_float());
  EXPECT_EQ(got->unknown, (std::vector<std::string>{"mirostat", "nonsense", "numa"}));
}

TEST(Parameters, OptionsOfTheWrongType) {
  struct Case {
    const char *options, *message, *subject;
  };
  for (const Case& c : {
           Case{R"({"num_ctx":"x"})", R"(option "num_ctx" must be of type integer)", "num_ctx"},
           {R"({"top_k":[1]})", R"(option "top_k" must be of type integer)", "top_k"},
           {R"({"main_gpu":true})", R"(option "main_gpu" must be of type integer)", "main_gpu"},
           {R"({"temperature":"hot"})", R"(option "temperature" must be of type float32)", "temperature"},
           {R"({"use_mmap":"yes"})", R"(option "use_mmap" must be of type boolean)", "use_mmap"},
           {R"({"use_mmap":1})", R"(option "use_mmap" must be of type boolean)", "use_mmap"},
           {R"({"stop":"a"})", R"(option "stop" must be of type array)", "stop"},
           {R"({"stop":[1]})", R"(option "stop" must be of an array of strings)", "stop"},
           {R"({"stop":["a",null]})", R"(option "stop" must be of an array of strings)", "stop"},
           {R"({"kv_cache_type":8})", R"(option "kv_cache_type" must be of type string)", "kv_cache_type"},
           {R"({"max_seconds":{}})", R"(option "max_seconds" must be of type float32)", "max_seconds"},
       }) {
    const auto got = convert_options(json::parse(c.options));
    ASSERT_FALSE(got) << c.options;
    EXPECT_EQ(got.error().message, c.message);
    EXPECT_EQ(got.error().subject, c.subject);
  }
}

TEST(Parameters, AsShowPrintsThem) {
  EXPECT_EQ(format_parameters(json::parse(
                R"({"num_ctx":1024,"stop":["<|im_end|>","a\"b\n"],"temperature":0.5,"use_mmap":true})")),
            "num_ctx                        1024\n"
            "stop                           \"<|im_end|>\"\n"
            "stop                           \"a\\\"b\\n\"\n"
            "temperature                    0.5\n"
            "use_mmap                       true");
  EXPECT_EQ(format_parameters(json::object()), "");
  EXPECT_EQ(format_parameters(json::parse(R"({"stop":[]})")), "");
  // Readable again, whatever the size; numbers without a meaning as Go prints them.
  EXPECT_EQ(format_parameters(json::parse(R"({"num_ctx":1048576.0})")),
            "num_ctx                        1048576");
  EXPECT_EQ(format_parameters(json::parse(R"({"x":1048576.0})")),
            "x                              1.048576e+06");
  EXPECT_EQ(format_parameters(json::parse(R"({"a_name_that_is_longer_than_thirty_columns":1})")),
            "a_name_that_is_longer_than_thirty_columns 1");
}

TEST(Parameters, AsLinesOfAModelfile) {
  using Texts = std::vector<std::string>;
  EXPECT_EQ(parameter_texts("stop", {"a\"b", "c"}), (Texts{"a\"b", "c"}));
  EXPECT_EQ(parameter_texts("temperature", 0.25), Texts{"0.25"});
  EXPECT_EQ(parameter_texts("seed", 4294967296.0), Texts{"4294967296"});
  EXPECT_EQ(parameter_texts("use_mmap", false), Texts{"false"});
}

TEST(Parameters, Names) {
  for (const Parameter& p : parameters()) {
    EXPECT_EQ(find_parameter(p.name), &p);
    EXPECT_FALSE(is_deprecated_parameter(p.name));
  }
  EXPECT_EQ(find_parameter("numa"), nullptr);
  EXPECT_TRUE(is_deprecated_parameter("mirostat_eta"));
  EXPECT_FALSE(is_deprecated_parameter("numa"));
}

}  // namespace
}  // namespace quipu::modelfile
