#include "modelfile/modelfile.h"

#include <gtest/gtest.h>

#include "base/utf8.h"

namespace quipu::modelfile {
namespace {

using Commands = std::vector<Command>;

Commands parsed(std::string_view text) {
  const auto file = parse_modelfile(text);
  EXPECT_TRUE(file) << file.error().message;
  return file ? file->commands : Commands();
}

std::string refusal(std::string_view text) {
  const auto file = parse_modelfile(text);
  return file ? "none" : file.error().message;
}

constexpr char kUnknown[] =
    R"(command must be one of "from", "license", "template", "system", "adapter", "draft", "renderer", "parser", )"
    R"("parameter", "message", or "requires")";

TEST(Modelfile, EveryInstruction) {
  EXPECT_EQ(parsed("FROM a\nLICENSE b\nTEMPLATE c\nSYSTEM d\nADAPTER e\nDRAFT f\nRENDERER g\nPARSER "
                   "h\nPARAMETER top_k 1\n"
                   "MESSAGE user i\nREQUIRES 1.0.0\n"),
            (Commands{{"model", "a"},
                      {"license", "b"},
                      {"template", "c"},
                      {"system", "d"},
                      {"adapter", "e"},
                      {"draft", "f"},
                      {"renderer", "g"},
                      {"parser", "h"},
                      {"top_k", "1"},
                      {"message", "user: i"},
                      {"requires", "1.0.0"}}));
}

TEST(Modelfile, QuotesEndWhereALineEnds) {
  EXPECT_EQ(parsed("FROM a\nSYSTEM \"x\" \nSYSTEM y\n"),
            (Commands{{"model", "a"}, {"system", "x"}, {"system", "y"}}));
  EXPECT_EQ(parsed("FROM a\nSYSTEM \"\"\"x\"\" y\nz\"\"\"\n"),
            (Commands{{"model", "a"}, {"system", "x\"\" y\nz"}}));
  EXPECT_EQ(parsed("FROM a\nSYSTEM \"\n\nx\n\"\n"), (Commands{{"model", "a"}, {"system", "\n\nx\n"}}));
  EXPECT_EQ(parsed("FROM a\nSYSTEM \"# no comment\nFROM b\"\n"),
            (Commands{{"model", "a"}, {"system", "# no comment\nFROM b"}}));
  // Three, four and five quotes begin a value and end none.
  for (const char* quotes : {"\"\"\"", "\"\"\"\"", "\"\"\"\"\""})
    EXPECT_EQ(refusal(std::string("FROM a\nSYSTEM ") + quotes + "\n"), "unexpected EOF") << quotes;
  EXPECT_EQ(parsed("FROM a\nSYSTEM \"\"\"\n\"\"\"\n"), (Commands{{"model", "a"}, {"system", "\n"}}));
  EXPECT_EQ(parsed("FROM \"\"\"a\"\"\""), (Commands{{"model", "a"}}));
}

TEST(Modelfile, BlanksAndLineEndsInValues) {
  EXPECT_EQ(parsed("FROM a\nSYSTEM x\ty  z\n"), (Commands{{"model", "a"}, {"system", "x\ty  z"}}));
  EXPECT_EQ(parsed("FROM a\nSYSTEM \"\tx \t\"\n"), (Commands{{"model", "a"}, {"system", "\tx \t"}}));
  EXPECT_EQ(parsed("FROM a\nSYSTEM \"x\ry\"\n"), (Commands{{"model", "a"}, {"system", "x\ry"}}));
  EXPECT_EQ(parsed("FROM \ta \t\n"), (Commands{{"model", "a"}}));
  EXPECT_EQ(parsed("FROM\t\ta"), (Commands{{"model", "a"}}));
}

TEST(Modelfile, WhatIsNotPrintableIsDropped) {
  EXPECT_EQ(parsed("\u200bFROM a\u00a0b\u200d\x01\n"), (Commands{{"model", "ab"}}));
  EXPECT_EQ(parsed("FROM a\nSYSTEM \"👩\u200d🔬\u3000x\"\n"),
            (Commands{{"model", "a"}, {"system", "👩🔬x"}}));
  EXPECT_EQ(refusal("FR\u200bOM a\n"), std::string("(line 1): ") + kUnknown);
}

TEST(Modelfile, NamesAndRolesBehindOneBlank) {
  // A second blank ends an empty name at once.
  EXPECT_EQ(parsed("FROM a\nPARAMETER  top_k 1\n"), (Commands{{"model", "a"}, {"", "top_k 1"}}));
  EXPECT_EQ(refusal("FROM a\nMESSAGE  user hi\n"),
            "(line 2): message role must be one of \"system\", \"user\", or \"assistant\"");
  EXPECT_EQ(refusal("FROM a\nPARAMETER \n"), "unexpected EOF: ");
  EXPECT_EQ(refusal("FROM a\nPARAMETER top_k"), "unexpected EOF");
  EXPECT_EQ(refusal("FROM a\nMESSAGE user"), "unexpected EOF");
  EXPECT_EQ(parsed("FROM a\nPARAMETER top_k "), (Commands{{"model", "a"}, {"top_k", ""}}));
  EXPECT_EQ(parsed("FROM a\nMESSAGE user \n"), (Commands{{"model", "a"}, {"message", "user: "}}));
  EXPECT_EQ(parsed("PARAMETER model x\n"), (Commands{{"model", "x"}}));
}

TEST(Modelfile, LinesAreCountedAtTheirEnds) {
  EXPECT_EQ(refusal("\n\n# c\nFROM a\nBOGUS x\n"), std::string("(line 5): ") + kUnknown);
  EXPECT_EQ(refusal("FROM a\r\nBOGUS x\r\n"), std::string("(line 3): ") + kUnknown);
  EXPECT_EQ(refusal("FROM a\nSYSTEM \"\"\"x\ny\n\"\"\"\nBOGUS x\n"), std::string("(line 5): ") + kUnknown);
  EXPECT_EQ(refusal("FROM a\nBOGUS\n"), std::string("(line 3): ") + kUnknown);
}

TEST(Modelfile, Encodings) {
  const auto utf16 = [](std::u16string_view text, bool big) {
    std::string out = big ? "\xfe\xff" : "\xff\xfe";
    for (const char16_t c : text) {
      const char high = static_cast<char>(c >> 8), low = static_cast<char>(c & 0xff);
      out += big ? high : low;
      out += big ? low : high;
    }
    return out;
  };
  for (const bool big : {false, true}) {
    EXPECT_EQ(parsed(utf16(u"FROM a\nSYSTEM 日🚲\n", big)), (Commands{{"model", "a"}, {"system", "日🚲"}}));
    const std::u16string alone = {u'F', u'R', u'O', u'M', u' ', 0xd83d, u'x', 0xdeb2, u'\n'};
    EXPECT_EQ(parsed(utf16(alone, big)), (Commands{{"model", "\ufffdx\ufffd"}}));
    EXPECT_EQ(parsed(utf16(u"FROM a", big) + "z"), (Commands{{"model", "a\ufffd"}}));
  }
  EXPECT_EQ(parsed("FROM a\xe2\x82z\xc0\n"), (Commands{{"model", "a\ufffdz\ufffd"}}));
  EXPECT_EQ(refusal("\xff\xfe"), "no FROM line");
}

TEST(Modelfile, WrittenOut) {
  const auto written = [](const Command& c) { return format_modelfile({{c}}); };
  EXPECT_EQ(written({"model", " a\nb "}), "FROM  a\nb \n");
  EXPECT_EQ(written({"system", "x"}), "SYSTEM x\n");
  EXPECT_EQ(written({"system", " x"}), "SYSTEM \" x\"\n");
  EXPECT_EQ(written({"system", "x "}), "SYSTEM \"x \"\n");
  EXPECT_EQ(written({"system", "\tx"}), "SYSTEM \tx\n");
  EXPECT_EQ(written({"license", "a\nb"}), "LICENSE \"a\nb\"\n");
  EXPECT_EQ(written({"template", "a\n\"b\""}), "TEMPLATE \"\"\"a\n\"b\"\"\"\"\n");
  EXPECT_EQ(written({"draft", "/a"}), "DRAFT /a\n");
  EXPECT_EQ(written({"requires", "1.2.3"}), "REQUIRES 1.2.3\n");
  EXPECT_EQ(written({"stop", "<|im_end|>"}), "PARAMETER stop <|im_end|>\n");
  EXPECT_EQ(written({"from", "x"}), "PARAMETER from x\n");
  EXPECT_EQ(written({"message", "user: a: b"}), "MESSAGE user a: b\n");
  EXPECT_EQ(written({"message", "user: "}), "MESSAGE user \n");
}

// However long a quoted value, each of its lines costs the same.
TEST(Modelfile, ManyLinesInAnOpenQuote) {
  const std::string text = "FROM a\nSYSTEM \"x" + std::string(2'000'000, '\n') + "\"\n";
  EXPECT_EQ(parsed(text)[1].args.size(), 2'000'001u);
}

}  // namespace
}  // namespace quipu::modelfile
