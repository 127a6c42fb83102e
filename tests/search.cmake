bn_test(toml bn_toml)
bn_test(space bn_search)
bn_test(search bn_search)
bn_test(expr bn_search)
bn_test(sobol bn_search)
bn_test(spec bn_spec)
target_compile_definitions(test_spec PRIVATE BN_CASES="${CMAKE_CURRENT_SOURCE_DIR}/cases/spec"
                           BN_SWEEPS="${PROJECT_SOURCE_DIR}/sweeps")
