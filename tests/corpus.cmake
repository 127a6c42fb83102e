bn_test(shards bn_corpus)
bn_test(tokenizer bn_corpus)
bn_test(dataset bn_corpus Threads::Threads)
bn_test(synth bn_corpus)
bn_test(prepare bn_corpus)
bn_test(hub bn_corpus PkgConfig::jansson Threads::Threads)
foreach(name tokenizer dataset hub)
    target_compile_definitions(test_${name} PRIVATE BN_SHARED_DATA="${PROJECT_SOURCE_DIR}/../shared/data")
endforeach()

# As fuzz_safetensors: only where clang is found and BN_FUZZ asks for it.
if(BN_FUZZ AND BN_CLANG)
    set(fuzz ${CMAKE_CURRENT_BINARY_DIR}/fuzz_shard)
    set(fuzz_sources ${CMAKE_CURRENT_SOURCE_DIR}/fuzz_shard.c
        ${PROJECT_SOURCE_DIR}/engine/corpus/shards.c ${PROJECT_SOURCE_DIR}/engine/base/status.c)
    add_custom_command(OUTPUT ${fuzz} VERBATIM DEPENDS ${fuzz_sources}
        COMMAND ${BN_CLANG} -g -O1 -std=c11 -D_POSIX_C_SOURCE=200809L -I${PROJECT_SOURCE_DIR}
                -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined
                ${fuzz_sources} -o ${fuzz})
    add_custom_target(build_fuzz_shard ALL DEPENDS ${fuzz})
    add_test(NAME fuzz_shard
             COMMAND ${fuzz} -max_total_time=${BN_FUZZ_SECONDS} -max_len=4096 -rss_limit_mb=1024)
    set_tests_properties(fuzz_shard PROPERTIES TIMEOUT 300)
endif()
