bn_test(judge bn_fleet)
bn_test(event_line bn_fleet)
bn_test(ingest bn_fleet)
bn_test(oom bn_fleet)
bn_test(nursery bn_fleet)
bn_test(process bn_fleet)
bn_test(rundir bn_fleet)
bn_test(fleet bn_fleet)
bn_test(sweep bn_sweep)
target_compile_definitions(test_sweep PRIVATE TRAINER_SH="${CMAKE_CURRENT_SOURCE_DIR}/support/trainer.sh")
bn_test(external bn_sweep)
bn_test(order bn_sweep)
bn_test(pruning bn_sweep)
target_compile_definitions(test_pruning PRIVATE
    CONTENDER_SH="${CMAKE_CURRENT_SOURCE_DIR}/support/contender.sh")

# The linker puts a counter in front of every step that changes a manager's world.
bn_test(kills bn_sweep)
target_compile_definitions(test_kills PRIVATE TRAINER_SH="${CMAKE_CURRENT_SOURCE_DIR}/support/trainer.sh")
target_link_options(test_kills PRIVATE -Wl,--wrap=bn_history_append,--wrap=bn_run_move_all
    -Wl,--wrap=bn_process_start,--wrap=bn_run_add_all,--wrap=bn_rundir_lock)
set_tests_properties(kills PROPERTIES TIMEOUT 300)

add_test(NAME e2e_kills COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/e2e/kills.sh $<TARGET_FILE:bnexp> 10)
add_test(NAME e2e_faults COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/e2e/faults.sh $<TARGET_FILE:bnexp>
         ${CMAKE_CURRENT_SOURCE_DIR}/support/trainer.sh 8 21)
add_test(NAME e2e_streams COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/e2e/streams.sh $<TARGET_FILE:bnexp>)
set_tests_properties(e2e_kills e2e_faults e2e_streams PROPERTIES TIMEOUT 300)

foreach(name bad_data plan)
    add_test(NAME cli_${name}
             COMMAND ${CMAKE_COMMAND} -DBNEXP=$<TARGET_FILE:bnexp>
                     -DWORK=${CMAKE_CURRENT_BINARY_DIR}/cli_${name}
                     -P ${CMAKE_CURRENT_SOURCE_DIR}/support/cli_${name}.cmake)
    set_tests_properties(cli_${name} PROPERTIES TIMEOUT 120)
endforeach()

bn_fuzz(events 8192
        SOURCES runner/fleet/ingest.c runner/fleet/event_line.c engine/base/file.c engine/base/status.c
                engine/base/text.c engine/base/utf8.c
        SEEDS ${CMAKE_CURRENT_SOURCE_DIR}/cases/events)
