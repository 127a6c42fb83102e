# Fuzz targets: only where BN_FUZZ asks for them. They are built by clang, whatever builds the rest, and
# run as tests for BN_FUZZ_SECONDS each: ctest -R fuzz_
# The seed is fixed, so that a finding of the gate can be found again.
option(BN_FUZZ "Build and run the libFuzzer targets (needs clang)" OFF)
set(BN_FUZZ_SECONDS 60 CACHE STRING "How long each fuzz target runs in ctest")

# bn_fuzz(NAME LENGTH SOURCES file... [CXX file] [LIBRARIES name...]): tests/fuzz_NAME.c with these
# sources of ours on inputs of at most LENGTH bytes. CXX is a C++ source, SEEDS are folders of inputs
# to begin with.
function(bn_fuzz name length)
    if(NOT BN_FUZZ)
        return()
    endif()
    find_program(BN_CLANG clang REQUIRED)
    find_program(BN_CLANGXX clang++ REQUIRED)
    cmake_parse_arguments(PARSE_ARGV 2 a "" "CXX" "SOURCES;LIBRARIES;SEEDS")
    set(flags -g -O1 -D_POSIX_C_SOURCE=200809L -I${PROJECT_SOURCE_DIR}
        -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined)
    set(fuzz ${CMAKE_CURRENT_BINARY_DIR}/fuzz_${name})
    set(sources ${CMAKE_CURRENT_SOURCE_DIR}/fuzz_${name}.c)
    foreach(source ${a_SOURCES})
        list(APPEND sources ${PROJECT_SOURCE_DIR}/${source})
    endforeach()
    list(TRANSFORM a_LIBRARIES PREPEND -l)
    set(seeds)
    if(a_SEEDS) # the first folder is where libFuzzer writes what it finds
        file(MAKE_DIRECTORY ${fuzz}_corpus)
        set(seeds ${fuzz}_corpus ${a_SEEDS})
    endif()
    set(compile_cxx)
    set(object)
    set(depends ${sources})
    if(a_CXX)
        set(object ${fuzz}_cxx.o)
        list(APPEND depends ${PROJECT_SOURCE_DIR}/${a_CXX})
        set(compile_cxx COMMAND ${BN_CLANGXX} ${flags} -fno-sanitize=vptr,function -std=c++17 -c ${PROJECT_SOURCE_DIR}/${a_CXX} -o ${object})
        list(APPEND a_LIBRARIES -lstdc++)
    endif()
    add_custom_command(OUTPUT ${fuzz} VERBATIM DEPENDS ${depends}
        ${compile_cxx}
        COMMAND ${BN_CLANG} ${flags} -std=c11 ${sources} ${object} ${a_LIBRARIES} -lm -o ${fuzz})
    add_custom_target(build_fuzz_${name} ALL DEPENDS ${fuzz})
    add_test(NAME fuzz_${name}
             COMMAND ${fuzz} ${seeds} -seed=1 -max_total_time=${BN_FUZZ_SECONDS} -max_len=${length} -rss_limit_mb=1024)
    set_tests_properties(fuzz_${name} PROPERTIES TIMEOUT 300)
endfunction()
