#include "modelfile/model_name.h"

#include <gtest/gtest.h>

namespace quipu {
namespace {

TEST(ModelName, SameModelWithoutCase) {
  const ModelName a = parse_model_name("Llama3:8B"), b = parse_model_name("llama3:8b");
  EXPECT_TRUE(a.same_model(b));
  EXPECT_FALSE(a == b);
  EXPECT_FALSE(a.same_model(parse_model_name("llama3:8b-q4")));
  EXPECT_FALSE(a.same_model(parse_model_name("x/llama3:8b")));
  EXPECT_TRUE(parse_model_name("http://registry.ollama.ai/library/llama3:8b").same_model(b));
}

TEST(ModelName, ShortNameKeepsTheNamespaceOfAnotherHost) {
  EXPECT_EQ(parse_model_name("h/library/m").short_name(), "h/library/m:latest");
  EXPECT_EQ(parse_model_name("Registry.Ollama.AI/Library/m").short_name(), "m:latest");
  EXPECT_EQ(parse_model_name("registry.ollama.ai/u/m").short_name(), "u/m:latest");
}

TEST(ModelName, PathsThatAreNoNames) {
  for (const char* path : {"", "a", "a/b/c", "a/b/c/d/e", "/a/b/c", "a/b/c/", "a//c/d", "a/b/../d",
                           "a/b/c/.d", "a/b/c/d.part~", ".h/n/m/t", "h/n.s/m/t", "h/n/m/t\n", "h/n/m/-t"})
    EXPECT_FALSE(name_of_manifest_path(path)) << path;
  const auto name = name_of_manifest_path("127.0.0.1:5005/n/m/t");
  ASSERT_TRUE(name);
  EXPECT_EQ(name->short_name(), "127.0.0.1:5005/n/m:t");
}

TEST(ModelName, NoPathLeavesItsFolder) {
  for (const char* text :
       {"..", "../..", "a/..", "../a/b", "a/../b:c", "a/b/..:x", "a:..", "..:..", "../../../../etc/passwd",
        "x/../../y", "/etc/passwd", "a/b/c:../d", "a\\..\\b", "%2e%2e/a", "a/b/c:d/../../e"})
    EXPECT_FALSE(parse_model_name(text).is_valid()) << text;
  // A host may begin with dots nowhere, but contain two of them: that is a name, not a way up.
  EXPECT_TRUE(parse_model_name("a..b/c/d:e").is_valid());
}

using Source = ModelReference::Source;

TEST(ModelReference, Suffixes) {
  struct Case {
    const char *text, *name;
    Source source;
  };
  for (const Case& c : {
           Case{"smol", "smol:latest", Source::kAny},
           {" smol\n", "smol:latest", Source::kAny},
           {"smol:local", "smol:latest", Source::kLocal},
           {"smol:LOCAL", "smol:latest", Source::kLocal},
           {"smol:1b:local", "smol:1b", Source::kLocal},
           {"a/b/c:d:local", "a/b/c:d", Source::kLocal},
           {"gpt-oss:20b:cloud", "gpt-oss:20b", Source::kCloud},
           {"gpt-oss:20b-cloud", "gpt-oss:20b", Source::kCloud},
           {"gpt-oss:20B-Cloud", "gpt-oss:20B", Source::kCloud},
           {"gpt-oss:cloud", "gpt-oss:latest", Source::kCloud},
           {"my-cloud", "my-cloud:latest", Source::kAny},
           {"host:5000/n/m", "host:5000/n/m:latest", Source::kAny},
           {"local", "local:latest", Source::kAny},
           {"localhost:5000/n/m:t", "localhost:5000/n/m:t", Source::kAny},
       }) {
    const auto r = parse_model_reference(c.text);
    ASSERT_TRUE(r) << c.text << ": " << r.error().message;
    EXPECT_EQ(r->name.short_name(), c.name) << c.text;
    EXPECT_EQ(r->source, c.source) << c.text;
  }
}

TEST(ModelReference, Refusals) {
  for (const char* text : {"", "   ", "\n\t"})
    EXPECT_EQ(parse_model_reference(text).error().message, "model is required");
  for (const char* text : {"a b", "a/", ":x", "b@d", ":local", "m:-cloud", "a:b-cloud/c", "m:latest:x"}) {
    const auto r = parse_model_reference(text);
    ASSERT_FALSE(r) << text;
    EXPECT_EQ(r.error().message, "invalid model name") << text;
    EXPECT_EQ(r.error().code, Code::kInvalidArgument);
  }
  EXPECT_EQ(parse_model_reference("foo:cloud:local").error().message,
            "use either :local or :cloud, not both: \"foo:cloud:local\"");
  EXPECT_EQ(parse_model_reference(" foo:1b-cloud:local").error().message,
            "use either :local or :cloud, not both: \"foo:1b-cloud:local\"");
  EXPECT_FALSE(parse_model_reference("foo:local:local"));
}

}  // namespace
}  // namespace quipu
