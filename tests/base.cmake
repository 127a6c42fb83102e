bn_test(status bn_base)
bn_test(base bn_base)
bn_test(config bn_config)
bn_test(options bn_base)
target_sources(test_options PRIVATE ${PROJECT_SOURCE_DIR}/runner/cli/options.c)
add_test(NAME cli_misspelt_command
         COMMAND ${CMAKE_COMMAND} -DBNEXP=$<TARGET_FILE:bnexp> -P ${CMAKE_CURRENT_SOURCE_DIR}/support/cli_errors.cmake)
