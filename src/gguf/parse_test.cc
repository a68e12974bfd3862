// Hand-made files: what must be accepted, and what must be refused with which words.
#include "gguf/parse.h"

#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gguf/file.h"
#include "gguf/raw_gguf.h"

namespace quipu::gguf {
namespace {

using test::as_bytes;
using test::Raw;

constexpr int32_t kU32 = 4, kI32 = 5, kF32 = 6, kBool = 7, kStr = 8, kArr = 9, kU64 = 10;
constexpr int32_t kTypeF32 = 0, kTypeF16 = 1, kTypeQ4_0 = 2, kTypeQ4_K = 12;
constexpr uint64_t kHuge = uint64_t{1} << 63;

// Parses a copy that ends where the heap block ends, so that the address sanitizer sees any byte read beyond
// it.
Result<std::unique_ptr<File>> parse(const std::string& s, bool require_data = true) {
  static std::unique_ptr<std::byte[]> copy;
  copy = std::make_unique<std::byte[]>(s.size());
  std::memcpy(copy.get(), s.data(), s.size());
  return File::parse({copy.get(), s.size()}, {.require_tensor_data = require_data});
}

std::string failure(const std::string& s) {
  const auto f = parse(s);
  return f ? "(accepted)" : f.error().message;
}

struct Case {
  const char* name;
  Raw file;
  const char* expected;  // part of the error's sentence; "" = accepted
};

// A file with one key and a two-tensor table that is right; `change` gets the offsets.
Raw two_tensors(uint64_t first, uint64_t second) {
  Raw r;
  r.header(2, 0).tensor("a", {4}, kTypeF32, first).tensor("b", {2, 3}, kTypeF32, second).pad();
  return r.data(16).pad().data(24);
}

Raw one_tensor(const std::vector<int64_t>& shape, int32_t type, size_t data) {
  Raw r;
  return r.header(1, 0).tensor("w", shape, type, 0).pad().data(data);
}

Raw one_key(const Raw& key) { return Raw().header(0, 1).raw(key.str()); }

std::vector<Case> cases() {
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  const std::string nul_key("a\0b", 3);
  return {
      // Header
      {"Empty", Raw(), "does not begin with \"GGUF\""},
      {"ThreeBytes", Raw().raw("GGU"), "does not begin with \"GGUF\""},
      {"OtherMagic", Raw().raw("GGML").put<uint32_t>(3).put<uint64_t>(0).put<uint64_t>(0), "not a GGUF file"},
      {"Version0", Raw().header(0, 0, 0), "version 0 is not supported"},
      {"Version1", Raw().header(0, 0, 1), "version 1 is too old"},
      {"Version2", Raw().header(0, 0, 2), ""},
      {"Version3", Raw().header(0, 0, 3), ""},
      {"Version4", Raw().header(0, 0, 4), "version 4 is not supported"},
      {"Version2BigEndian", Raw().header(0, 0, 0x02000000), "big-endian"},
      {"Version3BigEndian", Raw().header(0, 0, 0x03000000), "big-endian"},
      {"TensorCountNegative", Raw().header(kHuge, 0), "claims 9223372036854775808 tensors, but only"},
      {"KeyCountNegative", Raw().header(0, ~uint64_t{0}),
       "claims 18446744073709551615 metadata keys, but only"},
      {"TensorCountHuge", Raw().header(kHuge - 1, 0), "claims 9223372036854775807 tensors, but only 0 bytes"},
      {"KeyCountHuge", Raw().header(0, kHuge / 13), "metadata keys, but only 0 bytes of the file are left"},
      {"KeyCountOneTooMany", Raw().header(0, 2).scalar<uint32_t>("a", kU32, 1),
       "claims 2 metadata keys, but only"},
      {"TensorCountOneTooMany", Raw().header(2, 0).tensor("w", {}, kTypeF32, 0),
       "claims 2 tensors, but only"},
      // Keys and values
      {"EmptyKey", one_key(Raw().scalar<uint32_t>("", kU32, 1)), "metadata key 1 is empty"},
      {"DuplicateKey", Raw().header(0, 3).text("k", "1").text("x", "1").scalar<uint8_t>("k", 0, 1).data(20),
       "metadata key 'k' occurs twice"},
      {"NulInKey", one_key(Raw().text(nul_key, "v")), ""},
      {"NulInKeyIsNotItsEnd", Raw().header(0, 2).text("a", "v").text(nul_key, "v"), ""},
      {"KeyLengthHuge", one_key(Raw().put<uint64_t>(uint64_t{1} << 40).data(64)),
       "metadata key 1 has a string of 1099511627776 bytes; 1073741824 is the limit"},
      {"KeyLengthBeyondEnd", one_key(Raw().put<uint64_t>(100).data(64)),
       "metadata key 1 has a string of 100 bytes, but only 64 bytes of the file are left"},
      {"StringLengthMax", one_key(Raw().string("k").put(kStr).put(~uint64_t{0}).data(8)),
       "value of metadata key 'k'"},
      {"StringLengthBeyondEnd", one_key(Raw().string("k").put(kStr).put<uint64_t>(9).data(8)),
       "has a string of 9 bytes, but only 8 bytes"},
      {"UnknownType13", one_key(Raw().scalar<uint64_t>("k", 13, 0)),
       "metadata key 'k' has the unknown type 13"},
      {"UnknownTypeNegative", one_key(Raw().scalar<uint64_t>("k", -1, 0)), "has the unknown type -1"},
      {"Bool7", one_key(Raw().scalar<uint8_t>("k", kBool, 7)), ""},
      {"ArrayOfArrays", one_key(Raw().array("k", kArr, 1).data(32)),
       "metadata key 'k' is an array of arrays"},
      {"ArrayOfUnknown", one_key(Raw().array("k", 99, 1).data(32)), "array of the unknown type 99"},
      {"ArrayOfNegativeType", one_key(Raw().array("k", -5, 1).data(32)), "array of the unknown type -5"},
      {"ArrayCountHuge", one_key(Raw().array("k", kU32, kHuge).data(32)),
       "array of 9223372036854775808 elements;"},
      {"ArrayCountTimesSizeOverflows", one_key(Raw().array("k", kU64, (uint64_t{1} << 61) + 1).data(32)),
       "is the limit"},
      {"ArrayCountBeyondEnd", one_key(Raw().array("k", kU32, 9).data(32)),
       "array of 9 elements, but only 32 bytes"},
      {"ArrayToTheEnd", one_key(Raw().array("k", kU32, 8).data(32)), ""},
      {"ArrayEmpty", one_key(Raw().array("k", kStr, 0).data(32)), ""},
      {"StringArrayCountBeyondEnd", one_key(Raw().array("k", kStr, 5).data(32)),
       "array of 5 elements, but only 32 bytes"},
      {"StringArrayElementBeyondEnd",
       one_key(Raw().array("k", kStr, 2).string("ab").put<uint64_t>(7).data(6)),
       "the value of metadata key 'k' has a string of 7 bytes, but only 6"},
      {"StringArrayEndsEarly", one_key(Raw().array("k", kStr, 2).string("abcdefgh").put<uint32_t>(0)),
       "the file ends within the value of metadata key 'k'"},
      {"KeyWithControlCharacters", one_key(Raw().scalar<uint64_t>("a\x1b[31m\n", 13, 0)),
       "metadata key 'a?[31m?' has"},
      // Alignment
      {"Alignment0", one_key(Raw().scalar<uint32_t>("general.alignment", kU32, 0)), "general.alignment is 0"},
      {"Alignment3", one_key(Raw().scalar<uint32_t>("general.alignment", kU32, 3)), "general.alignment is 3"},
      {"Alignment8", one_key(Raw().scalar<uint32_t>("general.alignment", kU32, 8)), ""},
      {"Alignment1", one_key(Raw().scalar<uint32_t>("general.alignment", kU32, 1)), ""},
      {"AlignmentMiB", one_key(Raw().scalar<uint32_t>("general.alignment", kU32, 1 << 20)), ""},
      {"Alignment2MiB", one_key(Raw().scalar<uint32_t>("general.alignment", kU32, 2 << 20)),
       "at most 1048576"},
      {"Alignment2To31", one_key(Raw().scalar<uint32_t>("general.alignment", kU32, uint32_t{1} << 31)),
       "is 2147483648"},
      {"AlignmentU64", one_key(Raw().scalar<uint64_t>("general.alignment", kU64, 32)),
       "32-bit unsigned integer"},
      {"AlignmentI32", one_key(Raw().scalar<int32_t>("general.alignment", kI32, 32)),
       "32-bit unsigned integer"},
      {"AlignmentText", one_key(Raw().text("general.alignment", "32")), "32-bit unsigned integer"},
      {"AlignmentArray", one_key(Raw().array("general.alignment", kU32, 1).put<uint32_t>(32)),
       "32-bit unsigned integer"},
      // Tensor table
      {"NameOf63", Raw().header(1, 0).tensor(std::string(63, 'n'), {1}, kTypeF32, 0).pad().data(4), ""},
      {"NameOf64", Raw().header(1, 0).tensor(std::string(64, 'n'), {1}, kTypeF32, 0).pad().data(4),
       "has 64 bytes; 63 is the limit"},
      {"NameLengthHuge", Raw().header(1, 0).put<uint64_t>(uint64_t{1} << 40).data(32),
       "the name of tensor 1 has a string"},
      {"NameEmpty", Raw().header(1, 0).tensor("", {1}, kTypeF32, 0).pad().data(4), ""},
      {"DuplicateTensor",
       Raw().header(2, 0).tensor("w", {8}, kTypeF32, 0).tensor("w", {8}, kTypeF32, 32).pad().data(64),
       "two tensors are named 'w'"},
      {"NulInNameIsNotItsEnd",
       Raw()
           .header(2, 0)
           .tensor("w", {8}, kTypeF32, 0)
           .tensor(std::string_view("w\0", 2), {8}, kTypeF32, 32)
           .pad()
           .data(64),
       ""},
      {"FiveDimensions", one_tensor({1, 1, 1, 1, 1}, kTypeF32, 4),
       "tensor 'w' has 5 dimensions; 4 is the limit"},
      {"DimensionCountHuge", Raw().header(1, 0).string("w").put<uint32_t>(0xffffffff).data(64),
       "has 4294967295 dimensions"},
      {"FourDimensions", one_tensor({2, 1, 1, 3}, kTypeF32, 24), ""},
      {"Scalar", one_tensor({}, kTypeF32, 4), ""},
      {"ZeroDimension", one_tensor({4, 0, 2}, kTypeF32, 0), ""},
      {"NegativeDimension", one_tensor({4, -1}, kTypeF32, 64), "dimension 1 of tensor 'w' is -1"},
      {"LeastDimension", one_tensor({std::numeric_limits<int64_t>::min()}, kTypeF32, 64),
       "dimension 0 of tensor 'w' is -922"},
      {"ElementsOverflow", one_tensor({kMax, 2}, kTypeF32, 64), "more elements than can be counted"},
      {"ElementsOverflowLate", one_tensor({1 << 20, 1 << 20, 1 << 20, 1 << 20}, kTypeF32, 64),
       "more elements than can be"},
      {"ElementsWrapToSmall", one_tensor({int64_t{1} << 32, int64_t{1} << 32, 4}, kTypeF32, 64),
       "more elements than can"},
      {"BytesOverflow", one_tensor({int64_t{1} << 62}, 28, 64), "more bytes than can be counted"},
      {"BytesOverflowPadding", one_tensor({(int64_t{1} << 62) - 1}, kTypeF32, 64),
       "tensor 'w' ends beyond what can be"},
      {"BytesAboveI64", one_tensor({kMax / 256 * 256 - 256}, 15, 64),
       "ends at byte 10520408729537478136, but the file has 128"},
      {"DataEndOverflow", one_tensor({(int64_t{1} << 62) - 16}, kTypeF32, 64),
       "beyond what can be addressed"},
      {"TypeNegative", one_tensor({32}, -1, 128), "tensor 'w' has the unknown type -1"},
      {"TypeRemoved4", one_tensor({32}, 4, 128), "is quantised as Q4_2 (type 4), which GGUF has given up"},
      {"TypeRemoved31", one_tensor({32}, 31, 128), "Q4_0_4_4 (type 31)"},
      {"TypeRemoved38", one_tensor({32}, 38, 128), "IQ4_NL_8_8 (type 38)"},
      {"Type43", one_tensor({64}, 43, 128), "unknown type 43 (supported are: F32, F16, BF16, Q4_0"},
      {"TypeHuge", one_tensor({64}, 0x7fffffff, 128), "unknown type 2147483647"},
      {"TypeNotComputableIsKnown", one_tensor({256}, 22, 82), ""},
      {"RowNotWholeBlocks", one_tensor({33}, kTypeQ4_0, 64),
       "tensor 'w' has rows of 33 values, but Q4_0 is stored in blocks of 32"},
      {"RowNotWholeSuperBlocks", one_tensor({128, 2}, kTypeQ4_K, 144),
       "rows of 128 values, but Q4_K is stored in blocks of 256"},
      {"ScalarOfBlocks", one_tensor({}, kTypeQ4_0, 18), "rows of 1 values"},
      {"TensorTableCut", Raw().header(1, 0).string("wwwwwwwwwwwwwwwwwwwwwwww").put<uint32_t>(1),
       "the file ends within the description of tensor 'wwwwwwwwwwwwwwwwwwwwwwww'"},
      // Data
      {"TwoTensors", two_tensors(0, 32), ""},
      {"FirstOffsetNotZero", two_tensors(32, 64), "tensor 'a' begins at offset 32 of the data; it must be 0"},
      {"OffsetPlusOne", two_tensors(0, 33), "tensor 'b' begins at offset 33 of the data; it must be 32"},
      {"OffsetGap", two_tensors(0, 64), "it must be 32"},
      {"OffsetOverlap", two_tensors(0, 0), "tensor 'b' begins at offset 0 of the data; it must be 32"},
      {"OffsetUnpadded", two_tensors(0, 16), "it must be 32"},
      {"OffsetReordered", two_tensors(32, 0), "it must be 0"},
      {"OffsetHuge", two_tensors(0, kHuge), "it must be 32"},
      {"OffsetMax", two_tensors(0, ~uint64_t{0}), "it must be 32"},
      {"DataOneByteShort", one_tensor({4}, kTypeF32, 15),
       "the data of tensor 'w' ends at byte 80, but the file has 79"},
      {"DataMissing", one_tensor({1000}, kTypeF32, 0), "but the file has 64: it is incomplete"},
      {"DataWithoutLastPadding", one_tensor({4}, kTypeF16, 8), ""},
      {"DataAndMore", one_tensor({4}, kTypeF16, 800), ""},
      {"NoPaddingBeforeData", Raw().header(1, 0).tensor("w", {1}, kTypeF32, 0), "it is incomplete"},
      {"Alignment8Data",
       Raw()
           .header(1, 1)
           .scalar<uint32_t>("general.alignment", kU32, 8)
           .tensor("w", {3}, kTypeF32, 0)
           .pad(8)
           .data(12),
       ""},
      {"Alignment64Data",
       Raw()
           .header(2, 1)
           .scalar<uint32_t>("general.alignment", kU32, 64)
           .tensor("v", {3}, kTypeF32, 0)
           .tensor("w", {3}, kTypeF32, 64)
           .pad(64)
           .data(12)
           .pad(64)
           .data(12),
       ""},
  };
}

class Files : public testing::TestWithParam<Case> {};

TEST_P(Files, AcceptedOrRefused) {
  const std::string message = failure(GetParam().file.str());
  if (*GetParam().expected == 0) {
    EXPECT_EQ(message, "(accepted)");
    return;
  }
  EXPECT_NE(message.find(GetParam().expected), std::string::npos) << message;
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
}

INSTANTIATE_TEST_SUITE_P(Parse, Files, testing::ValuesIn(cases()),
                         [](const auto& info) { return std::string(info.param.name); });

// A file with every kind of value and several tensors.
std::string full_file() {
  Raw r;
  r.header(3, 16);
  r.text("general.architecture", "llama");
  r.scalar<uint8_t>("u8", 0, 200).scalar<int8_t>("i8", 1, -100).scalar<uint16_t>("u16", 2, 60000);
  r.scalar<int16_t>("i16", 3, -30000).scalar<uint32_t>("u32", 4, 4000000000u).scalar<int32_t>("i32", 5, -5);
  r.scalar<float>("f32", 6, 0.5f).scalar<uint8_t>("bool", 7, 1).scalar<uint64_t>("u64", 10, ~uint64_t{0});
  r.scalar<int64_t>("i64", 11, -6).scalar<double>("f64", 12, 0.25);
  r.array("strings", kStr, 3).string("a").string("").string(std::string_view("b\0c", 3));
  r.array("ints", kI32, 3).put<int32_t>(1).put<int32_t>(-2).put<int32_t>(3);
  r.array("floats", kF32, 2).put<float>(1.5f).put<float>(-2.5f);
  r.array("bools", kBool, 2).put<uint8_t>(0).put<uint8_t>(9);
  r.tensor("a", {4, 2}, kTypeF32, 0).tensor("b", {32}, kTypeQ4_0, 32).tensor("c", {}, kTypeF16, 64).pad();
  return r.data(32, 'a').data(18, 'b').pad().data(2, 'c').str();
}

TEST(Parse, EveryTruncationIsAnError) {
  const std::string whole = full_file();
  ASSERT_TRUE(parse(whole)) << failure(whole);
  for (size_t n = 0; n < whole.size(); ++n) {
    const auto f = parse(whole.substr(0, n));
    ASSERT_FALSE(f) << "cut to " << n << " bytes";
    EXPECT_FALSE(f.error().message.empty());
  }
}

// Each byte set to values that are likely to matter: never more than an error.
TEST(Parse, EveryByteChanged) {
  const std::string whole = full_file();
  for (size_t i = 0; i < whole.size(); ++i)
    for (const unsigned char v : {0x00, 0x01, 0x7f, 0x80, 0xff, 0x09, 0x0d}) {
      std::string changed = whole;
      changed[i] = static_cast<char>(v);
      for (const bool require_data : {true, false}) {
        const auto f = parse(changed, require_data);
        if (!f) continue;
        for (const Tensor& t : (*f)->tensors()) EXPECT_LE(t.data.size(), whole.size());
      }
    }
}

TEST(Parse, HeaderWithoutData) {
  const std::string whole = full_file();
  const std::string header = whole.substr(0, whole.size() - 60);
  EXPECT_FALSE(parse(header));
  const auto f = parse(header, false);
  ASSERT_TRUE(f) << f.error().message;
  EXPECT_EQ((*f)->tensors().size(), 3u);
  EXPECT_EQ((*f)->tensor("b")->shape[0], 32);
  EXPECT_TRUE((*f)->tensor("b")->data.empty());
  EXPECT_TRUE((*f)->tensor("c")->data.empty());
  EXPECT_FALSE(parse(whole.substr(0, 100), false));  // the header itself must be there
}

TEST(Parse, ValuesAndTensors) {
  const auto r = parse(full_file());
  ASSERT_TRUE(r) << r.error().message;
  const File& f = **r;
  EXPECT_EQ(f.architecture(), "llama");
  EXPECT_EQ(f.entries().size(), 16u);
  EXPECT_EQ(f.entries()[1].key, "u8");
  EXPECT_EQ(f.uint("u8").value(), 200u);
  EXPECT_EQ(f.integer("i8").value(), -100);
  EXPECT_EQ(f.uint("u16").value(), 60000u);
  EXPECT_EQ(f.integer("i16").value(), -30000);
  EXPECT_EQ(f.integer("u32").value(), 4000000000);
  EXPECT_EQ(f.integer("i32").value(), -5);
  EXPECT_EQ(f.uint("u64").value(), ~uint64_t{0});
  EXPECT_EQ(f.integer("i64").value(), -6);
  EXPECT_EQ(f.number("f32").value(), 0.5);
  EXPECT_EQ(f.number("f64").value(), 0.25);
  EXPECT_EQ(f.boolean("bool").value(), true);
  EXPECT_EQ(f.string("general.architecture").value(), "llama");
  EXPECT_EQ(f.array("strings")->value().as_strings(), (std::vector<std::string_view>{"a", "", {"b\0c", 3}}));
  EXPECT_EQ(f.array("ints")->value().as_ints(), (std::vector<int64_t>{1, -2, 3}));
  EXPECT_EQ(f.array("floats")->value().as_floats(), (std::vector<float>{1.5f, -2.5f}));
  EXPECT_EQ(f.array("bools")->value().as_bools(), (std::vector<bool>{false, true}));
  EXPECT_EQ(f.array("strings")->value().as_ints(), std::nullopt);
  EXPECT_EQ(f.array("floats")->value().as_ints(), std::nullopt);
  EXPECT_EQ(f.array("ints")->value().as_floats(), std::nullopt);
  EXPECT_EQ(f.array("ints")->value().as_bools(), std::nullopt);
  EXPECT_EQ(f.array("ints")->value().as_strings(), std::nullopt);

  EXPECT_EQ(f.find("nothing"), nullptr);
  EXPECT_EQ(f.uint("nothing").value(), std::nullopt);
  EXPECT_EQ(f.array("nothing")->has_value(), false);
  EXPECT_EQ(f.uint("i32").error().message, "metadata key 'i32' is -5, which is out of range");
  EXPECT_EQ(f.integer("u64").error().message,
            "metadata key 'u64' is 18446744073709551615, which is out of range");
  EXPECT_EQ(f.number("u32").error().message,
            "metadata key 'u32' is an integer; it must be a floating-point number");
  EXPECT_EQ(f.uint("f32").error().message,
            "metadata key 'f32' is a floating-point number; it must be an integer");
  EXPECT_EQ(f.string("ints").error().message, "metadata key 'ints' is an array; it must be a string");
  EXPECT_EQ(f.boolean("general.architecture").error().message,
            "metadata key 'general.architecture' is a string; it must be true or false");
  EXPECT_EQ(f.array("bool").error().message, "metadata key 'bool' is true or false; it must be an array");

  ASSERT_EQ(f.tensors().size(), 3u);
  const Tensor& a = *f.tensor("a");
  EXPECT_EQ(a.shape, (std::array<int64_t, 4>{4, 2, 1, 1}));
  EXPECT_EQ(a.n_dims, 2);
  EXPECT_EQ(a.n_elements(), 8);
  EXPECT_EQ(a.data.size(), 32u);
  EXPECT_EQ(f.tensor("b")->data.size(), 18u);
  EXPECT_EQ(f.tensor("b")->type, TensorType::kQ4_0);
  EXPECT_EQ(f.tensor("b")->data[17], std::byte{'b'});
  EXPECT_EQ(f.tensor("c")->data[0], std::byte{'c'});
  EXPECT_EQ(f.tensor("c")->n_dims, 0);
  EXPECT_EQ(f.tensor("d"), nullptr);
}

TEST(Parse, VocabularyOnly) {
  Raw r;
  r.header(0, 2).text("general.architecture", "gpt2").array("tokenizer.ggml.tokens", kStr, 1).string("x");
  const auto f = parse(r.str());
  ASSERT_TRUE(f) << f.error().message;
  EXPECT_TRUE((*f)->tensors().empty());
}

TEST(Parse, ArchitectureOfAnotherType) {
  const auto f = parse(Raw().header(0, 1).scalar<uint32_t>("general.architecture", kU32, 1).str());
  ASSERT_TRUE(f);
  EXPECT_EQ((*f)->architecture(), "");
}

// Many records cost a bit each: a hundred thousand keys and tensors with long common beginnings.
TEST(Parse, ManyRecords) {
  constexpr uint64_t kN = 100000;
  Raw r;
  r.header(kN, kN);
  for (uint64_t i = 0; i < kN; ++i)
    r.scalar<uint8_t>("a.very.long.common.beginning.of.keys." + std::to_string(i), 0, 1);
  for (uint64_t i = 0; i < kN; ++i) r.tensor("blk." + std::to_string(i), {0}, kTypeF32, 0);
  r.pad();
  const auto f = parse(r.str());
  ASSERT_TRUE(f) << f.error().message;
  EXPECT_NE((*f)->find("a.very.long.common.beginning.of.keys.99999"), nullptr);
  EXPECT_NE((*f)->tensor("blk.5"), nullptr);
}

TEST(Parse, MoreRecordsThanTheLimit) {
  std::string s = Raw().header(kMaxRecords + 1, 0).str();
  s.resize(s.size() + (kMaxRecords + 1) * 24);
  EXPECT_NE(failure(s).find("claims 4194305 tensors; 4194304 is the limit"), std::string::npos) << failure(s);
}

TEST(Shown, LongNamesAreCutBetweenCharacters) {
  EXPECT_EQ(shown("ok"), "ok");
  EXPECT_EQ(shown(std::string(79, 'x') + "\xc3\xa9"), std::string(79, 'x') + "...");
  EXPECT_EQ(shown(std::string(300, 'x')), std::string(80, 'x') + "...");
}

}  // namespace
}  // namespace quipu::gguf
