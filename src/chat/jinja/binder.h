// Binds the names of a parsed template to slots, by the rules that Jinja's compiler has: what is set in a
// loop stays in the loop, a macro sees later changes of the variables around it, a name that is first set and
// then read never reaches the context. Also refuses what only Jinja's compiler, or Python's behind it,
// refuses.
//
// Threads: pure functions.
#pragma once

#include "chat/jinja/ast.h"
#include "chat/jinja/budget.h"

namespace quipu::jinja {

void bind_program(Program& program, Budget& budget);

}  // namespace quipu::jinja
