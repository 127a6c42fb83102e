bn_test(shards bn_corpus)
bn_test(tokenizer bn_corpus)
bn_test(dataset bn_corpus Threads::Threads)
bn_test(synth bn_corpus)
bn_test(prepare bn_corpus)
bn_test(hub bn_corpus PkgConfig::jansson Threads::Threads)
bn_test(infer bn_infer model_lab run_lab bn_cpu PkgConfig::jansson)
foreach(name tokenizer dataset hub)
    target_compile_definitions(test_${name} PRIVATE BN_SHARED_DATA="${PROJECT_SOURCE_DIR}/../shared/data")
endforeach()

bn_fuzz(shard 4096 SOURCES engine/corpus/shards.c engine/base/status.c engine/base/utf8.c)

add_test(NAME cli_data
         COMMAND ${CMAKE_COMMAND} -DBNEXP=$<TARGET_FILE:bnexp> -DWORK=${CMAKE_CURRENT_BINARY_DIR}/cli_data
                 -P ${CMAKE_CURRENT_SOURCE_DIR}/support/cli_data.cmake)
set_tests_properties(cli_data PROPERTIES TIMEOUT 120)
