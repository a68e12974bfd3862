// Files on disk: opening, split models, what happens when a file is cut under the map.
#include "gguf/file.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <functional>
#include <string>

#include "gguf/raw_gguf.h"
#include "gguf/temporary_folder.h"

namespace quipu::gguf {
namespace {

using test::Raw;
using test::TemporaryFolder;

std::string message(const std::string& path) {
  const auto f = File::open(path);
  return f ? "(accepted)" : f.error().message;
}

TEST(Open, NotThere) {
  const TemporaryFolder folder;
  const auto f = File::open(folder / "no.gguf");
  ASSERT_FALSE(f);
  EXPECT_EQ(f.error().code, Code::kNotFound);
  EXPECT_EQ(f.error().message, "cannot open " + folder / "no.gguf" + ": No such file or directory");
}

TEST(Open, NotAFile) {
  const TemporaryFolder folder;
  EXPECT_EQ(message(folder.path()), folder.path() + " is not a regular file");
  const std::string pipe = folder / "pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(message(pipe), pipe + " is not a regular file");  // and does not wait for a writer
  EXPECT_EQ(message("/dev/null"), "/dev/null is not a regular file");
}

TEST(Open, ErrorsNameTheFile) {
  const TemporaryFolder folder;
  EXPECT_EQ(message(folder.write("empty.gguf", "")), folder / "empty.gguf" + " is empty");
  EXPECT_EQ(message(folder.write("text.gguf", "hello")),
            folder / "text.gguf" + ": this is not a GGUF file (it does not begin with \"GGUF\")");
}

TEST(Open, MappedAndPopulated) {
  const TemporaryFolder folder;
  Raw r;
  r.header(1, 1).text("general.architecture", "llama").tensor("w", {5}, 0, 0).pad().data(20, 'x');
  const auto f = File::open(folder.write("m.gguf", r.str()));
  ASSERT_TRUE(f) << f.error().message;
  EXPECT_EQ((*f)->mapped_bytes(), r.str().size());
  EXPECT_EQ((*f)->path(), folder / "m.gguf");
  EXPECT_EQ((*f)->paths().size(), 1u);
  EXPECT_TRUE((*f)->populate());
  EXPECT_EQ((*f)->tensor("w")->data[19], std::byte{'x'});
}

TEST(Open, TensorDataNotRequired) {
  const TemporaryFolder folder;
  const std::string path = folder.write("m.gguf", Raw().header(1, 0).tensor("w", {1000}, 0, 0).str());
  EXPECT_FALSE(File::open(path));
  EXPECT_TRUE(File::open(path, {.require_tensor_data = false}));
}

// Split models -----------------------------------------------------------------------------------

struct Part {
  int number = 0, count = 3;
  std::string tensor;
  bool has_number = true;
  int total_tensors = 3;
};

std::string part(const Part& p) {
  Raw keys;
  uint64_t n = 1;
  keys.text("general.architecture", "llama");
  if (p.has_number) keys.scalar("split.no", 2, static_cast<uint16_t>(p.number)), ++n;
  if (p.count > 0) keys.scalar("split.count", 2, static_cast<uint16_t>(p.count)), ++n;
  if (p.total_tensors >= 0) keys.scalar("split.tensors.count", 5, p.total_tensors), ++n;
  Raw r;
  r.header(1, n).raw(keys.str()).tensor(p.tensor, {4}, 0, 0).pad().data(16, p.tensor[0]);
  return r.str();
}

class Split : public testing::Test {
 protected:
  std::string path(int i, int n = 3) { return folder_ / fmt::format("m-{:05}-of-{:05}.gguf", i, n); }
  std::string put(int i, const Part& p) {
    return folder_.write(fmt::format("m-{:05}-of-{:05}.gguf", i, 3), part(p));
  }
  void put_all() {
    put(1, {.number = 0, .tensor = "a"});
    put(2, {.number = 1, .tensor = "b"});
    put(3, {.number = 2, .tensor = "c"});
  }
  void expect(const std::string& text) {
    const std::string m = message(path(1));
    EXPECT_NE(m.find(text), std::string::npos) << m;
    EXPECT_NE(m.find(folder_.path()), std::string::npos) << m;
  }
  TemporaryFolder folder_;
};

TEST_F(Split, AllParts) {
  put_all();
  const auto f = File::open(path(1));
  ASSERT_TRUE(f) << f.error().message;
  ASSERT_EQ((*f)->tensors().size(), 3u);
  EXPECT_EQ((*f)->tensors()[2].name, "c");
  EXPECT_EQ((*f)->tensor("b")->data[0], std::byte{'b'});
  EXPECT_EQ((*f)->paths().size(), 3u);
  EXPECT_EQ((*f)->mapped_bytes(), 3 * part({.tensor = "a"}).size());
  EXPECT_TRUE((*f)->populate());
}

TEST_F(Split, AnotherPart) {
  put_all();
  const std::string m = message(path(2));
  EXPECT_EQ(m, path(2) + " is part 2 of a model in 3 parts; name the first part, ...-00001-of-00003.gguf");
}

TEST_F(Split, PartMissing) {
  put_all();
  unlink(path(3).c_str());
  expect("part 3 of 3: cannot open " + path(3));
}

TEST_F(Split, WrongOrder) {
  put_all();
  put(2, {.number = 2, .tensor = "b"});
  expect("says that it is part 3; it must be part 2");
}

TEST_F(Split, PartWithoutNumber) {
  put_all();
  put(2, {.tensor = "b", .has_number = false});
  expect("does not say which part it is");
}

TEST_F(Split, FirstWithoutNumber) {
  put_all();
  put(1, {.tensor = "a", .has_number = false});
  expect("does not say which (split.no)");
}

TEST_F(Split, CountsDisagree) {
  put_all();
  put(3, {.number = 2, .count = 4, .tensor = "c"});
  expect("says that there are 4 parts; the first part says 3");
}

TEST_F(Split, CountMissingInLaterPart) {
  put_all();
  put(3, {.number = 2, .count = 0, .tensor = "c"});
  EXPECT_EQ(message(path(1)), "(accepted)");
}

TEST_F(Split, TensorsMissing) {
  put_all();
  put(1, {.number = 0, .tensor = "a", .total_tensors = 4});
  expect("have 3 tensors; 4 were promised");
}

TEST_F(Split, DuplicateTensorOverParts) {
  put_all();
  put(3, {.number = 2, .tensor = "a"});
  expect("two parts have a tensor named 'a'");
}

TEST_F(Split, NameWithoutNumber) {
  const std::string p = folder_.write("model.gguf", part({.number = 0, .tensor = "a"}));
  EXPECT_EQ(message(p), p + " is the first of 3 parts; its name must end in '-00001-of-00003.gguf'");
}

TEST_F(Split, NameOfAnotherCount) {
  const std::string p = folder_.write("m-00001-of-00002.gguf", part({.number = 0, .tensor = "a"}));
  EXPECT_NE(message(p).find("must end in '-00001-of-00003.gguf'"), std::string::npos);
}

TEST_F(Split, DamagedPart) {
  put_all();
  folder_.write("m-00002-of-00003.gguf", part({.number = 1, .tensor = "b"}).substr(0, 100));
  expect(path(2) + ": metadata key 3 has a string of 11 bytes, but only 1 bytes of the file are left");
}

TEST_F(Split, PartCutInItsData) {
  put_all();
  const std::string whole = part({.number = 1, .tensor = "b"});
  folder_.write("m-00002-of-00003.gguf", whole.substr(0, whole.size() - 1));
  expect("it is incomplete");
  EXPECT_TRUE(File::open(path(1), {.require_tensor_data = false}));
}

TEST_F(Split, OnePartIsAWholeModel) {
  const std::string p =
      folder_.write("m.gguf", part({.number = 0, .count = 1, .tensor = "a", .total_tensors = 1}));
  EXPECT_EQ(message(p), "(accepted)");
}

TEST_F(Split, CountOfAnotherType) {
  Raw r;
  r.header(0, 1).text("split.count", "3");
  EXPECT_NE(message(folder_.write("m.gguf", r.str())).find("'split.count' must be a count"),
            std::string::npos);
}

TEST_F(Split, CountHuge) {
  Raw r;
  r.header(0, 2).scalar<uint64_t>("split.count", 10, ~uint64_t{0}).scalar<uint64_t>("split.no", 10, 0);
  const std::string p = folder_.write("m.gguf", r.str());
  EXPECT_EQ(message(p), p + " claims to be one of 18446744073709551615 parts; 99999 is the limit");
}

TEST_F(Split, NumberHuge) {
  Raw r;
  r.header(0, 2).scalar<uint64_t>("split.count", 10, 3).scalar<uint64_t>("split.no", 10, ~uint64_t{0} - 1);
  EXPECT_NE(message(folder_.write("m.gguf", r.str())).find("is part 18446744073709551615"),
            std::string::npos);
}

// Shrinking files: what the process that has the file mapped says when it ends. -------------------

int sum(std::span<const std::byte> data) {
  int s = 0;
  for (const std::byte b : data) s += std::to_integer<int>(b);
  return s;
}

class Shrink : public testing::Test {
 protected:
  void SetUp() override {
    Raw r;
    r.header(1, 0).tensor("w", {1 << 18}, 0, 0).pad().data(1 << 20, 'x');
    path_ = folder_.write("model.gguf", r.str());
  }
  TemporaryFolder folder_;
  std::string path_;
};

TEST_F(Shrink, EndsTheProcessWithTheFilesName) {
  EXPECT_EXIT(
      {
        guard_mappings();
        const auto f = File::open(path_);
        if (!f || sum((*f)->tensor("w")->data) == 0) _exit(3);
        if (truncate(path_.c_str(), 8192) != 0) _exit(4);
        _exit(sum((*f)->tensor("w")->data) & 64);
      },
      testing::ExitedWithCode(1), "Error: .*model.gguf became shorter or unreadable while it was in use");
}

TEST_F(Shrink, PopulateSaysSo) {
  EXPECT_EXIT(
      {
        guard_mappings();
        const auto f = File::open(path_);
        if (!f || truncate(path_.c_str(), 8192) != 0) _exit(3);
        const auto r = (*f)->populate();
        if (!r) fprintf(stderr, "Error: %s\n", r.error().message.c_str());
        _exit(r ? 0 : 1);
      },
      testing::ExitedWithCode(1),
      "model.gguf became shorter or unreadable while it was being read|while it was in use");
}

// A file that was closed is no longer guarded, and faults elsewhere keep their default.
TEST_F(Shrink, FaultsElsewhereKeepTheirDefault) {
  EXPECT_EXIT(
      {
        guard_mappings();
        {
          const auto closed = File::open(path_);
        }
        FILE* other = tmpfile();
        if (ftruncate(fileno(other), 4096) != 0) _exit(3);
        auto* p = static_cast<volatile char*>(mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fileno(other), 0));
        if (ftruncate(fileno(other), 0) != 0) _exit(4);
        _exit(*p);
      },
      testing::KilledBySignal(SIGBUS), "^$");
}

}  // namespace
}  // namespace quipu::gguf
