// Looks at a whole tree, or all below a loop, for what binding has to know beforehand.
//
// Threads: pure functions.
#pragma once

#include "chat/jinja/ast.h"
#include "chat/jinja/budget.h"

namespace quipu::jinja {

// Fills Program::blocks; a name may stand for one block alone.
void collect_blocks(Program& program, Budget& budget);

bool has_scoped_block(const Body& statements, Budget& budget);

// Within a loop nothing may be called `loop`: neither a target nor anything set.
void refuse_setting_loop(const Stmt& loop, Budget& budget);

}  // namespace quipu::jinja
