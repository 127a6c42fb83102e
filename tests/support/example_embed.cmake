file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${WORK})
execute_process(COMMAND ${EMBED} ${TEXT} run WORKING_DIRECTORY ${WORK} RESULT_VARIABLE code
                OUTPUT_VARIABLE out ERROR_VARIABLE said)
file(STRINGS ${WORK}/run/events.jsonl ends REGEX "\"type\":\"end\",\"how\":\"finished\"")
if(NOT code EQUAL 0 OR NOT out MATCHES "^finished" OR NOT ends)
    message(FATAL_ERROR "embed: exit ${code}, said: ${out}${said}")
endif()
