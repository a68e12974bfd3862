// Every format against vectors made by the reference implementation: decoding to the bit, encoding to the
// byte.
#include "quant/codec.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/test_data.h"
#include "quant/type.h"

namespace quipu {
namespace {

using nlohmann::json;

const std::string kFolder = std::string(QUIPU_TESTDATA) + "/quant/";

struct Format {
  const char* name;
  TensorType type;
};
constexpr Format kFormats[] = {{"F16", TensorType::kF16},   {"BF16", TensorType::kBF16},
                               {"Q4_0", TensorType::kQ4_0}, {"Q4_1", TensorType::kQ4_1},
                               {"Q8_0", TensorType::kQ8_0}, {"Q4_K", TensorType::kQ4_K},
                               {"Q6_K", TensorType::kQ6_K}};

// Equal bits; of not-a-number only that both are.
bool same(float a, float b) {
  return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b) || (std::isnan(a) && std::isnan(b));
}

class Vectors : public testing::TestWithParam<Format> {
 protected:
  static const json& index() {
    static const json j = json::parse(test::read_file(kFolder + "index.json"));
    return j;
  }
  static const std::vector<float>& sources() {
    static const std::vector<float> v = test::floats(test::read_xz(kFolder + "sources.f32.xz"));
    return v;
  }
};

TEST_P(Vectors, DecodeIsBitExact) {
  const std::string data = test::read_xz(kFolder + GetParam().name + ".bin.xz");
  for (const json& c : index()["types"][GetParam().name]["cases"]) {
    const auto n = c["n"].get<int64_t>();
    const std::vector<float> want =
        test::floats(data.substr(c["decoded"].get<size_t>(), static_cast<size_t>(n) * sizeof(float)));
    std::vector<float> got(static_cast<size_t>(n), -1.0f);
    // One byte off every alignment, as blocks lie in files.
    const std::string shifted = "x" + data.substr(c["encoded"].get<size_t>(), *row_bytes(GetParam().type, n));
    decode_row(GetParam().type, reinterpret_cast<const std::byte*>(shifted.data() + 1), got.data(), n);
    for (size_t i = 0; i < want.size(); ++i)
      ASSERT_TRUE(same(got[i], want[i])) << c["case"] << "[" << i << "]: " << got[i] << ", not " << want[i];
  }
}

TEST_P(Vectors, EncodeIsByteExact) {
  const std::string data = test::read_xz(kFolder + GetParam().name + ".bin.xz");
  int cases = 0;
  for (const json& c : index()["types"][GetParam().name]["cases"]) {
    if (c["source"].is_null()) continue;  // random blocks: only for the decoder
    const auto n = c["n"].get<int64_t>();
    const auto bytes = static_cast<size_t>(*row_bytes(GetParam().type, n));
    const auto* want = reinterpret_cast<const std::byte*>(data.data()) + c["encoded"].get<size_t>();
    const float* source =
        sources().data() + index()["sources"][c["source"].get<std::string>()]["offset"].get<size_t>() / 4;
    std::vector<std::byte> got(bytes + 1, std::byte{0x5a});
    encode_row(GetParam().type, source, got.data(), n);
    EXPECT_EQ(got.back(), std::byte{0x5a});
    for (size_t i = 0; i < bytes; ++i) {
      // The payload of a not-a-number is nobody's promise.
      const int64_t element = static_cast<int64_t>(i / 2);
      if (type_info(GetParam().type)->block_elems == 1 && std::isnan(source[element])) continue;
      ASSERT_EQ(got[i], want[i]) << c["case"] << " byte " << i << " (block "
                                 << i / static_cast<size_t>(type_info(GetParam().type)->block_bytes) << ")";
    }
    ++cases;
  }
  EXPECT_GE(cases, 21);
}

INSTANTIATE_TEST_SUITE_P(Codec, Vectors, testing::ValuesIn(kFormats),
                         [](const auto& info) { return std::string(info.param.name); });

// Not-a-number, infinities and huge values make odd blocks, but nothing undefined (the sanitizers watch this
// test).
TEST(Codec, NonFiniteInputIsDefined) {
  constexpr float kInf = std::numeric_limits<float>::infinity(),
                  kNan = std::numeric_limits<float>::quiet_NaN();
  for (const float bad : {kNan, -kNan, kInf, -kInf, 3.4e38f, -3.4e38f, 1e-45f})
    for (const size_t at : {size_t{0}, size_t{17}, size_t{255}, size_t{256}})
      for (const Format& f : kFormats) {
        std::vector<float> x(256, 0.25f);
        for (size_t i = 0; i < x.size(); i += 3) x[i] = -static_cast<float>(i);
        if (at < x.size()) x[at] = bad;
        if (at == x.size()) x.assign(x.size(), bad);
        std::vector<std::byte> blocks(*row_bytes(f.type, 256));
        encode_row(f.type, x.data(), blocks.data(), 256);
        std::vector<float> back(256);
        decode_row(f.type, blocks.data(), back.data(), 256);
      }
}

TEST(Codec, AnyBytesDecode) {
  uint32_t state = 1;
  for (const Format& f : kFormats) {
    std::vector<std::byte> blocks(*row_bytes(f.type, 1024));
    for (std::byte& b : blocks) b = static_cast<std::byte>((state = state * 1664525 + 1013904223) >> 24);
    std::vector<float> out(1024);
    decode_row(f.type, blocks.data(), out.data(), 1024);
  }
}

TEST(Codec, F32IsCopied) {
  const std::vector<float> x = {0.0f, -0.0f, 1.5f, -3e38f};
  std::vector<std::byte> bytes(16);
  encode_row(TensorType::kF32, x.data(), bytes.data(), 4);
  std::vector<float> back(4);
  decode_row(TensorType::kF32, bytes.data(), back.data(), 4);
  for (size_t i = 0; i < 4; ++i) EXPECT_TRUE(same(x[i], back[i]));
}

// All 65,536 halves survive the way to float and back, and the value between two neighbours goes to the even
// one.
TEST(Half, RoundTripAndTies) {
  for (uint32_t h = 0; h < 0x10000; ++h) {
    const float f = half_to_float(static_cast<uint16_t>(h));
    if (std::isnan(f)) {
      EXPECT_TRUE(std::isnan(half_to_float(float_to_half(f))));
      continue;
    }
    ASSERT_EQ(float_to_half(f), h);
    if ((h & 0x7fff) >= 0x7bff) continue;  // the largest finite half and infinity have no next
    const float next = half_to_float(static_cast<uint16_t>(h + 1));
    const auto even = static_cast<uint16_t>(h % 2 == 0 ? h : h + 1);
    const float middle = static_cast<float>((static_cast<double>(f) + static_cast<double>(next)) / 2);
    ASSERT_EQ(float_to_half(middle), even);
    ASSERT_EQ(float_to_half(std::nextafter(middle, f)), h);
    ASSERT_EQ(float_to_half(std::nextafter(middle, next)), h + 1);
  }
  EXPECT_EQ(float_to_half(65519.996f), 0x7bff);
  EXPECT_EQ(float_to_half(65520.0f), 0x7c00);
  EXPECT_EQ(float_to_half(-1e30f), 0xfc00);
  EXPECT_EQ(float_to_half(1e-30f), 0);
}

TEST(Bf16, RoundTripAndTies) {
  for (uint32_t b = 0; b < 0x10000; ++b) {
    const float f = bf16_to_float(static_cast<uint16_t>(b));
    if (std::isnan(f)) {
      EXPECT_TRUE(std::isnan(bf16_to_float(float_to_bf16(f))));
    } else {
      ASSERT_EQ(float_to_bf16(f), b);
    }
  }
  EXPECT_EQ(float_to_bf16(std::bit_cast<float>(0x3f808000u)), 0x3f80);  // ties go to even
  EXPECT_EQ(float_to_bf16(std::bit_cast<float>(0x3f818000u)), 0x3f82);
  EXPECT_EQ(float_to_bf16(std::bit_cast<float>(0x7f800001u)) & 0x7fff,
            0x7fc0);  // a NaN does not become infinity
}

TEST(Types, Table) {
  EXPECT_EQ(type_info(-1), nullptr);
  for (const int removed : {4, 5, 31, 32, 33, 36, 37, 38}) {
    EXPECT_EQ(type_info(removed), nullptr) << removed;
    EXPECT_NE(removed_type_name(removed), nullptr) << removed;
  }
  for (const int never : {-1, 43, 1000}) {
    EXPECT_EQ(type_info(never), nullptr) << never;
    EXPECT_EQ(removed_type_name(never), nullptr) << never;
  }
  int known = 0, computable = 0;
  for (int id = 0; id < 43; ++id) {
    const TypeInfo* t = type_info(id);
    if (t == nullptr) continue;
    ++known;
    EXPECT_EQ(t->id, id);
    EXPECT_GT(t->block_bytes, 0);
    if (!t->computable) continue;
    ++computable;
    EXPECT_NE(computable_types().find(t->name), std::string_view::npos) << t->name;
  }
  EXPECT_EQ(known, 35);
  EXPECT_EQ(computable, 8);
  EXPECT_STREQ(type_name(TensorType::kQ4_K), "Q4_K");
}

TEST(Types, RowBytes) {
  EXPECT_EQ(row_bytes(TensorType::kQ4_K, 512), 288u);
  EXPECT_EQ(row_bytes(TensorType::kQ4_0, 0), 0u);
  EXPECT_EQ(row_bytes(TensorType::kQ4_K, 255), std::nullopt);
  EXPECT_EQ(row_bytes(TensorType::kQ8_0, -32), std::nullopt);
  EXPECT_EQ(row_bytes(static_cast<TensorType>(4), 32), std::nullopt);
  EXPECT_EQ(row_bytes(static_cast<TensorType>(28), INT64_MAX), std::nullopt);  // F64: the product overflows
  EXPECT_EQ(row_bytes(TensorType::kF16, INT64_MAX), static_cast<uint64_t>(INT64_MAX) * 2);
}

}  // namespace
}  // namespace quipu
