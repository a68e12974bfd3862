#include "base/result.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>

namespace quipu {
namespace {

Result<int> half(int n) {
  if (n % 2 != 0) return error(Code::kInvalidArgument, "{} is odd", n);
  return n / 2;
}

Result<int> quarter(int n) {
  QUIPU_ASSIGN(const int h, half(n));
  QUIPU_ASSIGN(const int q, half(h));  // twice in one function
  return q;
}

Result<void> check(int n, int& calls) {
  ++calls;
  QUIPU_TRY(half(n));
  ++calls;
  return {};
}

Result<std::unique_ptr<int>> owned(int n) {
  QUIPU_ASSIGN(auto p, [&]() -> Result<std::unique_ptr<int>> {
    if (n < 0) return error(Code::kIo, "negative");
    return std::make_unique<int>(n);
  }());
  ++*p;
  return p;
}

TEST(Result, ErrorsPassThrough) {
  EXPECT_EQ(quarter(12).value(), 3);
  EXPECT_EQ(quarter(7).error().message, "7 is odd");
  EXPECT_EQ(quarter(6).error().message, "3 is odd");
  EXPECT_EQ(quarter(6).error().code, Code::kInvalidArgument);
  int calls = 0;
  EXPECT_TRUE(check(2, calls));
  EXPECT_EQ(calls, 2);
  EXPECT_FALSE(check(1, calls));
  EXPECT_EQ(calls, 3) << "the rest of the function is left out";
}

TEST(Result, ValuesAreMoved) {
  EXPECT_EQ(**owned(4), 5);
  EXPECT_EQ(owned(-1).error().code, Code::kIo);
}

TEST(Result, WrapKeepsCodeAndSubject) {
  const Result<int> r = wrap(Error{Code::kCorrupt, "too short", "a.gguf"}, "cannot load");
  EXPECT_EQ(r.error().message, "cannot load: too short");
  EXPECT_EQ(r.error().code, Code::kCorrupt);
  EXPECT_EQ(r.error().subject, "a.gguf");
}

TEST(Result, EveryCodeHasItsOwnName) {
  std::set<std::string> names;
  for (int c = 0; c <= static_cast<int>(Code::kInternal); ++c) names.insert(code_name(static_cast<Code>(c)));
  EXPECT_EQ(names.size(), static_cast<size_t>(Code::kInternal) + 1);
  EXPECT_FALSE(names.contains("unknown"));
}

}  // namespace
}  // namespace quipu
