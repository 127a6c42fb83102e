# The example in examples/ really trains, on a text of its own folder.
add_test(NAME example_embed
         COMMAND ${CMAKE_COMMAND} -DEMBED=$<TARGET_FILE:embed> -DTEXT=${PROJECT_SOURCE_DIR}/docs/architecture.md
                 -DWORK=${CMAKE_CURRENT_BINARY_DIR}/example_embed
                 -P ${CMAKE_CURRENT_SOURCE_DIR}/support/example_embed.cmake)
set_tests_properties(example_embed PROPERTIES TIMEOUT 120)

# The manual page is made from the command table and each --help; a stale one tells of another program.
add_test(NAME man_page
         COMMAND ${CMAKE_COMMAND} -DBNEXP=$<TARGET_FILE:bnexp> -DPAGE=${PROJECT_SOURCE_DIR}/docs/bnexp.1
                 -P ${CMAKE_CURRENT_SOURCE_DIR}/support/man_page.cmake)

add_test(NAME train_folder
         COMMAND ${CMAKE_COMMAND} -DBNEXP=$<TARGET_FILE:bnexp> -DTEXT=${PROJECT_SOURCE_DIR}/docs/architecture.md
                 -DWORK=${CMAKE_CURRENT_BINARY_DIR}/train_folder
                 -P ${CMAKE_CURRENT_SOURCE_DIR}/support/train_folder.cmake)
