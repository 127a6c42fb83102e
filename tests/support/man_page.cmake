# The manual page in docs/ is what the program prints:
#   cmake -DBNEXP=build/release/bnexp -DPAGE=docs/bnexp.1 -P tests/support/man_page.cmake
execute_process(COMMAND ${BNEXP} man OUTPUT_VARIABLE printed RESULT_VARIABLE code)
if(NOT code EQUAL 0)
    message(FATAL_ERROR "'bnexp man' ends with ${code}")
endif()
file(READ ${PAGE} kept)
if(NOT printed STREQUAL kept)
    message(FATAL_ERROR "${PAGE} is not what 'bnexp man' prints:\n"
                        "  cmake --build --preset release --target manual")
endif()
