bn_test(db bn_store)
bn_test(store bn_store)
bn_test(history bn_store)
bn_test(feed bn_store)
bn_test(packed bn_store)
bn_fuzz(pack 4096 SOURCES store/pack.c)

# Figures for docs/performance.md; not a test.
add_executable(store_bench bench/store_bench.c)
target_link_libraries(store_bench PRIVATE bn_store)

add_executable(make_home support/make_home.c support/demo_home.c)
target_include_directories(make_home PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(make_home PRIVATE bn_store m)

bn_test(baseline bn_store PkgConfig::jansson)
target_compile_definitions(test_baseline PRIVATE BNEXP="$<TARGET_FILE:bnexp>")
add_dependencies(test_baseline bnexp)

bn_test(reading bn_store PkgConfig::jansson)
target_sources(test_reading PRIVATE support/demo_home.c)
target_compile_definitions(test_reading PRIVATE BNEXP="$<TARGET_FILE:bnexp>")
add_dependencies(test_reading bnexp)

bn_test(stats bn_stats)
bn_test(comparison bn_comparison)
target_sources(test_comparison PRIVATE support/demo_home.c)

bn_test(tending bn_store PkgConfig::jansson)
target_sources(test_tending PRIVATE support/demo_home.c)
target_compile_definitions(test_tending PRIVATE BNEXP="$<TARGET_FILE:bnexp>")
add_dependencies(test_tending bnexp)

add_test(NAME store_page
         COMMAND ${CMAKE_COMMAND} -DOUT=${PROJECT_SOURCE_DIR}/docs/store.md -DCHECK=1
                 -P ${PROJECT_SOURCE_DIR}/store/schema/describe.cmake)
