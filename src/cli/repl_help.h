// The help pages of the conversation.
#pragma once

#include <string>

namespace quipu::cli {

std::string help_page_of_conversation();
std::string set_help_page();
std::string show_help_page();
std::string shortcuts_help_page();
std::string parameters_help_page();

}  // namespace quipu::cli
