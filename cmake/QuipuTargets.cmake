# quipu_library(NAME SOURCES... [LIBS...])   the library quipu_NAME of src/NAME; includes are written "folder/file.h"
# quipu_test(NAME SOURCES... [LIBS...])      a GoogleTest program; it gets QUIPU_TESTDATA, the folder testdata/
function(quipu_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;LIBS" ${ARGN})
  add_library(quipu_${name} STATIC ${arg_SOURCES})
  target_include_directories(quipu_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(quipu_${name} PUBLIC ${arg_LIBS})
endfunction()

function(quipu_test name)
  if(NOT QUIPU_TESTS)
    return()
  endif()
  cmake_parse_arguments(arg "" "" "SOURCES;LIBS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${arg_LIBS} GTest::gtest GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE QUIPU_TESTDATA="${PROJECT_SOURCE_DIR}/testdata"
                                             QUIPU_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS unit)
endfunction()
