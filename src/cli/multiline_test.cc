#include "cli/multiline.h"

#include <gtest/gtest.h>

namespace quipu::cli {

namespace {

// The text after these lines; "..." while more is wanted.
std::string after(std::initializer_list<const char*> lines) {
  MultilineText text;
  bool complete = false;
  for (const char* line : lines) {
    EXPECT_FALSE(complete) << "ended before: " << line;
    complete = text.feed(line);
  }
  return complete ? text.text() : "...";
}

TEST(Multiline, OneLine) {
  EXPECT_EQ(after({"hello"}), "hello");
  EXPECT_EQ(after({R"("""hello""")"}), "hello");
  EXPECT_EQ(after({R"(say """this""")"}), R"(say """this""")");
  EXPECT_EQ(after({R"("""""")"}), "");
}

TEST(Multiline, SeveralLines) {
  EXPECT_EQ(after({R"("""one)", R"(two""")"}), "one\ntwo");
  EXPECT_EQ(after({R"(""")", "one", "two", R"(""")"}), "one\ntwo");
  EXPECT_EQ(after({R"(""")", "", "one", "", R"(""")"}), "\none\n");
  EXPECT_EQ(after({R"(""")", "  indented", R"(end""")"}), "  indented\nend");
  EXPECT_EQ(after({R"("""one)", "/bye"}), "...");
  EXPECT_EQ(after({R"(""")"}), "...");
}

TEST(Multiline, PastedInOneGo) {
  EXPECT_EQ(after({"\"\"\"one\ntwo\"\"\""}), "one\ntwo");
  EXPECT_EQ(after({"\"\"\"one\ntwo", "three\"\"\""}), "one\ntwo\nthree");
}

TEST(Multiline, ResetForgets) {
  MultilineText text;
  EXPECT_FALSE(text.feed("\"\"\"abc"));
  EXPECT_TRUE(text.open());
  text.reset();
  EXPECT_FALSE(text.open());
  EXPECT_TRUE(text.feed("next"));
  EXPECT_EQ(text.text(), "next");
}

}  // namespace

}  // namespace quipu::cli
