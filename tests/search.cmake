bn_test(toml bn_toml)
bn_test(space bn_search)
bn_test(search bn_search)
bn_test(expr bn_search)
bn_test(sobol bn_search)
bn_test(tpe bn_search)
bn_test(gp bn_search)
bn_test(pruners bn_search)
bn_test(spec bn_spec)
target_compile_definitions(test_spec PRIVATE BN_CASES="${CMAKE_CURRENT_SOURCE_DIR}/cases/spec"
                           BN_SWEEPS="${PROJECT_SOURCE_DIR}/sweeps")

# Not a test: prints the table of docs/sweeps.md.
add_executable(search_quality bench/search_quality.c)
target_link_libraries(search_quality PRIVATE bn_search m)
