bn_test(toml bn_toml)
bn_test(space bn_search)
bn_test(search bn_search)
bn_test(expr bn_search)
bn_test(sobol bn_search)
bn_test(tpe bn_search)
bn_test(gp bn_search)
bn_test(warp bn_search)
bn_test(pruners bn_search)
bn_test(spec bn_spec)
target_compile_definitions(test_spec PRIVATE BN_CASES="${CMAKE_CURRENT_SOURCE_DIR}/cases/spec"
                           BN_SWEEPS="${PROJECT_SOURCE_DIR}/sweeps")

# Not a test: prints the table of docs/sweeps.md.
add_executable(search_quality bench/search_quality.c)
target_link_libraries(search_quality PRIVATE bn_search m)

get_target_property(spec_sources bn_spec SOURCES)
get_target_property(search_sources bn_search SOURCES)
list(TRANSFORM spec_sources PREPEND runner/)
list(TRANSFORM search_sources PREPEND runner/)
bn_fuzz(spec 8192 CXX runner/toml.cpp
        SOURCES ${spec_sources} ${search_sources} engine/config.c engine/config_files.c engine/base/file.c
                engine/base/nearest.c engine/base/rng.c engine/base/sha256.c engine/base/status.c
                engine/base/text.c engine/base/utf8.c
        SEEDS ${CMAKE_CURRENT_SOURCE_DIR}/cases/spec ${PROJECT_SOURCE_DIR}/sweeps)
bn_fuzz(expr 1024
        SOURCES runner/search/expr.c runner/search/expr_parse.c runner/search/setting.c
                engine/base/nearest.c engine/base/status.c engine/base/text.c
                engine/base/utf8.c)
