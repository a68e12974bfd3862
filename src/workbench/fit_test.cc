#include <gtest/gtest.h>

#include <algorithm>
#include <regex>
#include <stdexcept>

#include "workbench/fit_shapes.h"
#include "workbench/fit_table.h"

namespace quipu::workbench {
namespace {

using memory::Fit;

constexpr uint64_t kGiB = uint64_t{1} << 30;

std::vector<FitFile> usual_files() {
  std::vector<FitFile> out;
  for (const TypicalModel& m : typical_models())
    for (const char* name : {"Q8_0", "Q4_K_M"}) {
      const Quantization& q = *find_quantization(name);
      FitFile f{m.name, name, m.shape(4), true, q.bits()};
      f.shape.weights_bytes = estimated_bytes(m.weights(), q);
      out.push_back(f);
    }
  return out;
}

const FitFile& file(const std::vector<FitFile>& all, const std::string& model,
                    const std::string& quantization) {
  for (const FitFile& f : all)
    if (f.model == model && f.quantization == quantization) return f;
  throw std::runtime_error(model);
}

TEST(FitShapes, HaveTheParametersOfTheModelsTheyAreAfter) {
  const double published[] = {1.236e9, 3.213e9, 8.030e9, 14.77e9, 32.76e9, 70.55e9};
  size_t i = 0;
  for (const TypicalModel& m : typical_models())
    EXPECT_NEAR(m.parameters() / published[i++], 1, 0.01) << m.name;
}

TEST(FitShapes, SizesAreNumbersOfParameters) {
  EXPECT_DOUBLE_EQ(*parse_parameters("8b"), 8e9);
  EXPECT_DOUBLE_EQ(*parse_parameters("1.5B"), 1.5e9);
  EXPECT_DOUBLE_EQ(*parse_parameters("500m"), 5e8);
  for (const char* bad : {"", "b", "8", "8kb", "-8b", "0b", "1e9b", "8 b", "nanb", "99999999b", "8bb"})
    EXPECT_FALSE(parse_parameters(bad)) << bad;
  EXPECT_STREQ(nearest_model(7e9).name, "8B");
  EXPECT_STREQ(nearest_model(1).name, "1B");
  EXPECT_STREQ(nearest_model(1e12).name, "70B");
}

TEST(FitTable, TheBestSettingOfACell) {
  const auto all = usual_files();
  const FitFile& f = file(all, "8B", "Q4_K_M");
  const FitCell much = best_cell(f, 8192, 24 * kGiB);
  EXPECT_EQ(much.fits, Fit::kYes);
  EXPECT_EQ(much.setting.kv, "q8_0");
  EXPECT_EQ(much.setting.n_parallel, 4);
  const FitCell some = best_cell(f, 8192, 6 * kGiB);  // 4.6 GiB, and 0.5 GiB of KV in q8_0
  EXPECT_EQ(some.setting.kv, "q8_0");
  EXPECT_EQ(some.setting.n_parallel, 2);
  const FitCell little = best_cell(f, 32768, 6 * kGiB);
  EXPECT_EQ(little.fits, Fit::kYes);
  EXPECT_EQ(little.setting.kv, "q4_0") << "a better cache would not fit";
  const FitCell between = best_cell(f, 16384, 6 * kGiB);
  EXPECT_EQ(between.setting.kv, "q8_0");
  EXPECT_EQ(best_cell(f, 24576, 6 * kGiB).setting.kv, "q8_0:q4_0") << "it comes before q4_0";
  EXPECT_EQ(best_cell(f, 131072, 6 * kGiB).fits, Fit::kTight);
  EXPECT_EQ(best_cell(f, 4096, 4 * kGiB).fits, Fit::kNo);
}

TEST(FitTable, HasARowForEachFileAndAColumnForEachContext) {
  const std::string table = fit_table(usual_files(), 16 * kGiB);
  EXPECT_EQ(std::count(table.begin(), table.end(), '\n'), 13);
  EXPECT_NE(table.find("8K       16K       32K      64K      128K\n"), std::string::npos) << table;
  EXPECT_NE(table.find("\n8B     Q8_0 "), std::string::npos) << table;
  for (size_t at = 0, end = 0; (end = table.find('\n', at)) != table.npos; at = end + 1)
    EXPECT_LE(end - at, 80u) << table;
}

TEST(FitTable, ContextsEndWhereModelsWereTrained) {
  auto all = usual_files();
  EXPECT_EQ(fit_contexts({file(all, "14B", "Q8_0")}, UINT64_MAX),
            (std::vector<int64_t>{4096, 8192, 16384, 32768, 40960}));
  FitFile small = all[0];
  small.shape.n_ctx_train = 2048;
  EXPECT_EQ(fit_contexts({small}, UINT64_MAX), std::vector<int64_t>{2048});
  EXPECT_TRUE(fit_contexts({}, 0).empty());
}

TEST(FitTable, TriesShorterContextsWhereNoneOfTheUsualLoads) {
  const auto all = usual_files();
  const FitFile one = file(all, "1B", "Q8_0");
  // Between what 512 tokens and what a first sequence of 2048 are charged.
  FitSetting s{512, 1, "q4_0"};
  const uint64_t least = memory::charge(memory::plan(one.shape, s.options()), s.options());
  EXPECT_EQ(fit_contexts({one}, least), (std::vector<int64_t>{512, 1024, 2048, 4096}));
  EXPECT_EQ(fit_contexts({one}, UINT64_MAX).front(), 4096);
  EXPECT_NE(fit_table({one}, least).find("512 "), std::string::npos) << fit_table({one}, least);
  const std::string with = "Recommended: 1B in Q8_0 (1.2 GiB), with room for one conversation of ";
  EXPECT_EQ(fit_recommendation({one}, least), with + "512 tokens (KV cache q4_0).\n");
  s.n_ctx = 1024;
  const uint64_t more = memory::charge(memory::plan(one.shape, s.options()), s.options());
  EXPECT_EQ(fit_recommendation({one}, more), with + "1024 tokens (KV cache q4_0).\n");
  EXPECT_NE(fit_recommendation({one}, least - 1).find("Nothing here fits"), std::string::npos);
}

TEST(FitTable, RecommendsTheLargestModelThatLeavesRoom) {
  const auto all = usual_files();
  EXPECT_NE(fit_recommendation(all, 22 * kGiB).find("Recommended: 32B in Q4_K_M"), std::string::npos);
  EXPECT_NE(fit_recommendation(all, 10 * kGiB).find("Recommended: 14B in Q4_K_M"), std::string::npos);
  EXPECT_NE(fit_recommendation(all, 2 * kGiB).find("Recommended: 1B in Q8_0"), std::string::npos);
  EXPECT_NE(fit_recommendation(all, 100 << 20).find("Nothing here fits"), std::string::npos);
  const auto one_sentence = [](const std::string& text) {
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << text;
    EXPECT_EQ(text.find('\n'), text.size() - 1) << text;
    EXPECT_EQ(text.find(". "), std::string::npos) << text;
  };
  for (const uint64_t gib : {0, 1, 2, 4, 6, 10, 22, 60, 200})
    one_sentence(fit_recommendation(all, gib * kGiB));
  EXPECT_EQ(
      fit_recommendation({file(all, "8B", "Q4_K_M")}, 6 * kGiB),
      "Recommended: 8B in Q4_K_M (4.6 GiB), with room for 2 conversations of 8192 tokens at once (KV cache "
      "q8_0), or one conversation of 32768 tokens (KV cache q4_0).\n");
  EXPECT_EQ(
      fit_recommendation({file(all, "8B", "Q4_K_M")}, 200 * kGiB),
      "Recommended: 8B in Q4_K_M (4.6 GiB), with room for 4 conversations of 131072 tokens at once (KV cache "
      "q8_0).\n");
  FitFile small = all[0];
  small.shape.n_ctx_train = 2000;
  EXPECT_NE(fit_recommendation({small}, 100 * kGiB).find("4 conversations of 2000 tokens"),
            std::string::npos);
  EXPECT_NE(fit_recommendation({}, kGiB).find("Nothing here fits"), std::string::npos);
  EXPECT_EQ(
      fit_recommendation({file(all, "8B", "Q8_0")}, uint64_t{8400} << 20),
      "Recommended: 8B in Q8_0 (8.0 GiB), with room for one conversation of 4096 tokens (KV cache q4_0).\n")
      << "where nothing comfortable fits";
}

// Whatever there is: the sentence says what the table says.
void expect_no_contradiction(const std::vector<FitFile>& files, uint64_t budget) {
  const std::string text = fit_recommendation(files, budget), table = fit_table(files, budget);
  SCOPED_TRACE(text + table);
  bool some_fits = false;
  for (const FitFile& f : files)
    for (const int64_t n : fit_contexts(files, budget))
      some_fits = some_fits || (n <= f.shape.n_ctx_train && best_cell(f, n, budget).fits == Fit::kYes);
  EXPECT_EQ(table.find(" x") != table.npos, some_fits);
  if (!text.starts_with("Recommended: ")) {
    EXPECT_TRUE(text.starts_with("Nothing here fits")) << text;
    EXPECT_FALSE(some_fits);
    return;
  }
  static const std::regex kFile(R"(Recommended: (\S+) in (\S+) \()"),
      kConversations(R"((one|\d+) conversations? of (\d+) tokens(?: at once)? \(KV cache ([^)]+)\))");
  std::smatch m;
  ASSERT_TRUE(std::regex_search(text, m, kFile));
  const FitFile& f = file(files, m[1], m[2]);
  int n = 0;
  for (std::sregex_iterator it(text.begin(), text.end(), kConversations), end; it != end; ++it, ++n) {
    const FitSetting s{std::stoll((*it)[2]), (*it)[1] == "one" ? 1 : std::stoll((*it)[1]), (*it)[3]};
    EXPECT_TRUE(std::ranges::any_of(fit_kv_types(), [&](const auto& kv) { return kv.name == s.kv; })) << s.kv;
    EXPECT_EQ(memory::fits(memory::plan(f.shape, s.options()), s.options(), budget), Fit::kYes) << (*it)[0];
  }
  EXPECT_GE(n, 1);
}

TEST(FitTable, TheSentenceNeverContradictsTheTable) {
  const auto all = usual_files();
  std::vector<std::vector<FitFile>> sets = {all};
  for (const FitFile& f : all) sets.push_back({f});
  for (size_t i = 0; i + 1 < all.size(); i += 2) sets.push_back({all[i], all[i + 1]});
  for (const int64_t trained : {300, 512, 600, 2000, 2048, 5000}) {
    std::vector<FitFile> some = {all[0], all[1], all[2]};
    some[0].shape.n_ctx_train = some[1].shape.n_ctx_train = trained;
    sets.push_back({some[0], some[1]});
    sets.push_back(std::move(some));
  }
  for (const auto& files : sets) {
    for (uint64_t budget = 100 << 20; budget < 400 * kGiB; budget += budget / 23)
      expect_no_contradiction(files, budget);
    // Around what the first file's weights take, where hardly anything fits.
    const uint64_t weights = files.front().shape.weights_bytes;
    for (uint64_t more = 0; more < 400 << 20; more += 7 << 20) expect_no_contradiction(files, weights + more);
  }
}

// The widest line. A column starts where its title does: behind two spaces in each line that is so long.
size_t expect_aligned(const std::string& table) {
  std::vector<std::string> lines;
  size_t widest = 0;
  for (size_t at = 0, end = 0; (end = table.find('\n', at)) != table.npos; at = end + 1) {
    lines.push_back(table.substr(at, end - at));
    widest = std::max(widest, end - at);
  }
  for (size_t at = lines[0].find("SIZE") + 4; (at = lines[0].find_first_not_of(' ', at)) != std::string::npos;
       at = std::min(lines[0].find(' ', at), lines[0].size()))
    for (const std::string& line : lines)
      if (line.size() > at) {
        EXPECT_EQ(line.substr(at - 2, 2), "  ") << table;
        EXPECT_NE(line[at], ' ') << table;
      }
  return widest;
}

TEST(FitTable, ColumnsAreAlignedAndNoWiderThanTheirCells) {
  const auto all = usual_files();
  bool mixed = false;
  for (uint64_t budget = 1 * kGiB; budget < 200 * kGiB; budget += budget / 31) {
    const std::string table = fit_table(all, budget);
    EXPECT_LE(expect_aligned(table), 80u);
    mixed = mixed || table.find("q8:q4 x") != table.npos;
  }
  EXPECT_TRUE(mixed);
  // A star, and a size of many digits.
  FitFile own = all[0], other = all[1];
  own.estimated = false;
  own.shape.weights_bytes = uint64_t{505} << 20;
  const std::string table = fit_table({own, other}, 8 * kGiB);
  EXPECT_NE(table.find(" *505.0 MiB  "), std::string::npos) << table;
  EXPECT_LE(expect_aligned(table), 80u);
}

}  // namespace
}  // namespace quipu::workbench
