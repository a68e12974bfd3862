# Compiler flags that hold for every target.
set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()

find_program(QUIPU_CCACHE ccache)
if(QUIPU_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${QUIPU_CCACHE})
endif()

# -ffp-contract=off: a product is rounded before it is added unless the code says fma, so that every instruction set and
# every compiler gives the same bits (ARCHITECTURE.md, "One canonical reduction order").
add_compile_options(-Wall -Wextra -Werror -ffp-contract=off)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  add_compile_options(-Wno-restrict) # g++ 12 warns falsely about "literal" + std::string (its bug 105651)
endif()
add_link_options(-Wl,--as-needed)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  find_program(QUIPU_LLD NAMES ld.lld-19 ld.lld)
  if(QUIPU_LLD)
    add_link_options(--ld-path=${QUIPU_LLD})
  endif()
endif()

if(QUIPU_SANITIZE STREQUAL "address")
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
elseif(QUIPU_SANITIZE STREQUAL "thread")
  add_compile_options(-fsanitize=thread -fno-omit-frame-pointer)
  add_link_options(-fsanitize=thread)
elseif(QUIPU_SANITIZE)
  message(FATAL_ERROR "QUIPU_SANITIZE is '${QUIPU_SANITIZE}': it may be address, thread or empty")
endif()
if(QUIPU_SANITIZE)
  # Asserts of ours and of the standard library: an index beyond size() but within capacity() is no error to a sanitizer.
  add_compile_options(-UNDEBUG)
  add_compile_definitions(_GLIBCXX_ASSERTIONS)
endif()
