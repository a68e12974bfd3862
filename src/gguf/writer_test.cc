// What the writer writes, the reader reads; and a file appears whole or not at all.
#include "gguf/writer.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/test_data.h"
#include "gguf/raw_gguf.h"
#include "gguf/temporary_folder.h"

namespace quipu::gguf {
namespace {

using quipu::test::read_file;
using test::as_bytes;
using test::TemporaryFolder;

constexpr auto kF32 = TensorType::kF32;

void fill_metadata(Writer& w) {
  w.add_string("general.architecture", "granite");
  w.add_uint32("u32", 4000000000u);
  w.add_int32("i32", -7);
  w.add_uint64("u64", ~uint64_t{0});
  w.add_float32("f32", 0.1f);
  w.add_bool("yes", true);
  w.add_bool("no", false);
  w.add_strings("strings", std::vector<std::string>{"", "a", std::string("b\0", 2)});
  w.add_int32s("ints", std::vector<int32_t>{-1, 0, 5});
  w.add_float32s("floats", std::vector<float>{1.0f, -0.0f});
}

TEST(Writer, RoundTrip) {
  const std::vector<float> a = {1, 2, 3, 4, 5, 6};
  const std::string b(36, 'b');
  for (const uint32_t alignment : {32u, 8u, 64u, 4096u}) {
    Writer w(alignment);
    fill_metadata(w);
    ASSERT_TRUE(w.add_tensor("a.weight", kF32, std::vector<int64_t>{3, 2}, std::as_bytes(std::span(a))));
    ASSERT_TRUE(w.add_tensor("b.weight", TensorType::kQ4_0, std::vector<int64_t>{32, 1, 2}, as_bytes(b)));
    ASSERT_TRUE(w.add_tensor("scalar", kF32, {}, std::as_bytes(std::span(a)).first(4)));
    const std::vector<std::byte> bytes = w.bytes();
    EXPECT_EQ(bytes.size() % alignment, 0u);
    const auto r = File::parse(bytes, {});
    ASSERT_TRUE(r) << r.error().message;
    const File& f = **r;
    EXPECT_EQ(f.architecture(), "granite");
    EXPECT_EQ(f.uint("u32").value(), 4000000000u);
    EXPECT_EQ(f.integer("i32").value(), -7);
    EXPECT_EQ(f.uint("u64").value(), ~uint64_t{0});
    EXPECT_EQ(f.number("f32").value(), static_cast<double>(0.1f));
    EXPECT_EQ(f.boolean("yes").value(), true);
    EXPECT_EQ(f.boolean("no").value(), false);
    EXPECT_EQ(f.array("strings")->value().as_strings(), (std::vector<std::string_view>{"", "a", {"b\0", 2}}));
    EXPECT_EQ(f.array("ints")->value().as_ints(), (std::vector<int64_t>{-1, 0, 5}));
    EXPECT_EQ(f.array("floats")->value().as_floats(), (std::vector<float>{1.0f, -0.0f}));
    EXPECT_EQ(f.entries()[alignment == 32 ? 0 : 1].key, "general.architecture");  // in the order of the calls
    ASSERT_EQ(f.tensors().size(), 3u);
    EXPECT_EQ(f.tensor("a.weight")->shape, (std::array<int64_t, 4>{3, 2, 1, 1}));
    EXPECT_EQ(std::memcmp(f.tensor("a.weight")->data.data(), a.data(), 24), 0);
    EXPECT_EQ(f.tensor("b.weight")->n_dims, 3);
    EXPECT_EQ(std::memcmp(f.tensor("b.weight")->data.data(), b.data(), 36), 0);
    EXPECT_EQ(f.tensor("scalar")->n_dims, 0);
  }
}

TEST(Writer, EntriesAreCopied) {
  test::Raw raw;
  raw.header(0, 14).scalar<uint32_t>("general.alignment", 4, 64);
  raw.scalar<uint8_t>("u8", 0, 200).scalar<int8_t>("i8", 1, -100).scalar<uint16_t>("u16", 2, 60000);
  raw.scalar<int16_t>("i16", 3, -30000).scalar<uint32_t>("u32", 4, 4000000000u).scalar<int32_t>("i32", 5, -5);
  raw.scalar<float>("f32", 6, 0.1f).scalar<uint8_t>("bool", 7, 1).text("s", "text");
  raw.array("a", 8, 2).string("x").string("");
  raw.scalar<uint64_t>("u64", 10, ~uint64_t{0}).scalar<int64_t>("i64", 11, -6).scalar<double>("f64", 12, 0.1);
  const auto from = File::parse(as_bytes(raw.str()), {});
  ASSERT_TRUE(from) << from.error().message;
  Writer w;
  for (const Entry& e : (*from)->entries()) w.add_entry(e);
  const std::vector<std::byte> bytes = w.bytes();
  // Everything but the header and the alignment's entry is the same.
  const size_t skipped = 24 + 8 + std::string("general.alignment").size() + 8;
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(bytes.data()) + 24, bytes.size() - 24),
            raw.str().substr(skipped));
}

TEST(Writer, WrongTensors) {
  Writer w;
  const std::string d(64, 'd');
  const auto message = [&](std::string_view name, TensorType type, std::vector<int64_t> shape, size_t bytes) {
    const auto r = w.add_tensor(name, type, shape, as_bytes(d).first(bytes));
    return r ? "" : r.error().message;
  };
  EXPECT_EQ(message("w", kF32, {4}, 16), "");
  EXPECT_EQ(message("w", kF32, {4}, 16), "tensor 'w' cannot be written: there is one of this name already");
  EXPECT_EQ(message("v", kF32, {4}, 12), "tensor 'v' cannot be written: it has 16 bytes; 12 were given");
  EXPECT_NE(message("v", kF32, {1, 1, 1, 1, 1}, 4), "");
  EXPECT_NE(message("v", kF32, {1, -1}, 4), "");
  EXPECT_NE(message("v", kF32, {int64_t{1} << 40, int64_t{1} << 40}, 4), "");
  EXPECT_NE(message("v", TensorType::kQ4_0, {33}, 36), "");
  EXPECT_NE(message("v", static_cast<TensorType>(4), {32}, 18), "");
  EXPECT_NE(message(std::string(64, 'v'), kF32, {1}, 4), "");
  EXPECT_EQ(message(std::string(63, 'v'), kF32, {1}, 4), "");
  EXPECT_TRUE(File::parse(w.bytes(), {}));
}

TEST(Writer, WritesWholeFilesOnly) {
  const TemporaryFolder folder;
  const std::string path = folder.write("m.gguf", "what was there before");
  Writer w;
  fill_metadata(w);
  const std::string d(16, 'd');
  ASSERT_TRUE(w.add_tensor("w", kF32, std::vector<int64_t>{4}, as_bytes(d)));
  ASSERT_TRUE(w.write(path));
  const std::vector<std::byte> bytes = w.bytes();
  EXPECT_EQ(read_file(path), std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  EXPECT_EQ(folder.count(), 1u);
  EXPECT_TRUE(File::open(path));
  struct stat st{};
  ASSERT_EQ(stat(path.c_str(), &st), 0);
  EXPECT_NE(st.st_mode & S_IRUSR, 0u);
  EXPECT_EQ(st.st_mode & S_IXUSR, 0u);
}

TEST(Writer, ErrorsLeaveNothingBehind) {
  const TemporaryFolder folder;
  const std::string missing = folder / "no/such/folder/m.gguf";
  const auto r = Writer().write(missing);
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().message, "cannot write " + missing + ": No such file or directory");

  Writer twice;
  twice.add_bool("k", true);
  twice.add_bool("k", true);
  EXPECT_EQ(twice.write(folder / "m.gguf").error().message,
            "cannot write " + folder / "m.gguf" + ": metadata key 'k' was added twice");
  Writer empty;
  empty.add_bool("", true);
  EXPECT_FALSE(empty.write(folder / "m.gguf"));
  for (const uint32_t alignment : {0u, 3u, 0x80000000u})
    EXPECT_FALSE(Writer(alignment).write(folder / "m.gguf"));
  EXPECT_EQ(folder.count(), 0u);

  // The name cannot be taken: a folder that is not empty stands there.
  std::filesystem::create_directories(folder / "taken/inside");
  EXPECT_FALSE(Writer().write(folder / "taken"));
  EXPECT_EQ(folder.count(), 1u);
}

TEST(Writer, FullDisk) {
  // A limit on the file's size stands in for a full disk: the write fails half-way.
  const TemporaryFolder folder;
  const std::string path = folder / "m.gguf";
  EXPECT_EXIT(
      {
        signal(SIGXFSZ, SIG_IGN);
        rlimit limit = {};
        limit.rlim_cur = limit.rlim_max = 1 << 20;
        setrlimit(RLIMIT_FSIZE, &limit);
        Writer w;
        const std::string d(4 << 20, 'd');
        (void)w.add_tensor("w", kF32, std::vector<int64_t>{1 << 20}, as_bytes(d));
        const auto r = w.write(path);
        fprintf(stderr, "%s\n", r ? "written" : r.error().message.c_str());
        _exit(0);
      },
      testing::ExitedWithCode(0), "cannot write .*m.gguf: File too large");
  EXPECT_EQ(folder.count(), 0u);
}

TEST(Writer, GeneratedData) {
  Writer w;
  constexpr int64_t kBlocks = 100000;
  uint64_t next = 0;
  size_t calls = 0;
  ASSERT_TRUE(w.add_tensor("q", TensorType::kQ8_0, std::vector<int64_t>{32, kBlocks},
                           [&](uint64_t offset, std::span<std::byte> piece) {
                             EXPECT_EQ(offset, next);
                             EXPECT_EQ(piece.size() % 34, 0u);
                             EXPECT_LE(piece.size(), size_t{1} << 20);
                             next = offset + piece.size();
                             ++calls;
                             for (size_t i = 0; i < piece.size(); ++i)
                               piece[i] = static_cast<std::byte>((offset + i) % 251);
                           }));
  ASSERT_TRUE(w.add_tensor("after", kF32, std::vector<int64_t>{0}, std::span<const std::byte>()));
  const std::vector<std::byte> bytes = w.bytes();
  EXPECT_EQ(next, 34u * kBlocks);
  EXPECT_EQ(calls, 4u);
  const auto f = File::parse(bytes, {});
  ASSERT_TRUE(f) << f.error().message;
  const auto data = (*f)->tensor("q")->data;
  for (size_t i = 0; i < data.size(); ++i) ASSERT_EQ(data[i], static_cast<std::byte>(i % 251));
}

}  // namespace
}  // namespace quipu::gguf
