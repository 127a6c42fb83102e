# What people see when they mistype: one line on stderr, exit 2.
execute_process(COMMAND ${BNEXP} swep x.toml RESULT_VARIABLE code ERROR_VARIABLE said OUTPUT_VARIABLE out)
if(NOT code EQUAL 2 OR NOT said MATCHES "did you mean 'sweep'|there is no command 'swep'")
    message(FATAL_ERROR "bnexp swep: exit ${code}, said: ${said}")
endif()
execute_process(COMMAND ${BNEXP} --version RESULT_VARIABLE code OUTPUT_VARIABLE out)
if(NOT code EQUAL 0 OR NOT out MATCHES "^bnexp [0-9]+\\.[0-9]+\\.[0-9]+\n$")
    message(FATAL_ERROR "bnexp --version: exit ${code}, said: ${out}")
endif()
