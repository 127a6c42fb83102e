bn_test(db bn_store)
bn_test(store bn_store)
bn_test(history bn_store)
bn_test(feed bn_store)

# Figures for docs/performance.md; not a test.
add_executable(store_bench bench/store_bench.c)
target_link_libraries(store_bench PRIVATE bn_store)
