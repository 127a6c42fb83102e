bn_test(http bn_base Threads::Threads)
target_sources(test_http PRIVATE support/canned_server.c)
target_compile_definitions(test_http PRIVATE _GNU_SOURCE) # strcasestr, in the test's server
bn_test(retry bn_reporters)
bn_test(credentials bn_reporters)
bn_test(claim bn_reporters)
bn_test(drain bn_reporters)
bn_test(wandb_settings bn_reporters)
bn_test(wandb_log bn_reporters)
bn_test(wandb_body bn_reporters PkgConfig::jansson)

# Against a fake server, with the real program.
add_executable(live_home support/live_home.c)
target_link_libraries(live_home PRIVATE bn_store m)
function(bn_wandb_test name script)
    add_test(NAME ${name} COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/e2e/wandb.sh ${script})
    set_tests_properties(${name} PROPERTIES TIMEOUT 180 SKIP_RETURN_CODE 77 ENVIRONMENT
        "BNEXP=$<TARGET_FILE:bnexp>;LIVE_HOME=$<TARGET_FILE:live_home>;WANDB_MODULES=${CMAKE_CURRENT_BINARY_DIR}/npm")
endfunction()
bn_wandb_test(wandb_sync wandb_sync.mjs)
bn_wandb_test(wandb_faults wandb_faults.mjs)
bn_wandb_test(wandb_kills wandb_kills.mjs)
bn_wandb_test(wandb_artifacts wandb_artifacts.mjs)
bn_wandb_test(wandb_live wandb_live.mjs)
bn_wandb_test(reporters reporters.mjs)
bn_wandb_test(wandb_traffic wandb_traffic.mjs)
bn_fuzz(netrc 512
        SOURCES reporters/credentials.c engine/base/file.c engine/base/status.c engine/base/utf8.c)
bn_fuzz(wandb_config 512
        SOURCES reporters/wandb_config.c engine/base/text.c engine/base/utf8.c engine/base/status.c
        LIBRARIES jansson)
