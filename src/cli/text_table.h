// Tables in Ollama's two layouts. Spec: ollama-compat 3.2, 3.4.
//
// Threads: pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace quipu::cli {

using Row = std::vector<std::string>;
using Rows = std::vector<Row>;

// Columns that a text takes on a terminal.
size_t display_width(std::string_view text);

// A line of titles, which ends in a single space, then the rows; every cell is padded to its column, four
// spaces behind it.
std::string list_table(const Row& titles, const Rows& rows);

// A title indented by two, rows by four, an empty line at the end.
std::string block(std::string_view title, const Rows& rows);

// Text as rows of one cell: the first `most` lines that are not blank, without white space around them; then
// an ellipsis.
Rows head_of(std::string_view text, size_t most);

}  // namespace quipu::cli
