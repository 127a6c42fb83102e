# bnexp bench --json is one JSON object with steps of every variant asked for and their ratios.
set(small --steps --rounds 1 --threads 1 --preset tiny --set model.width=32 --set model.context=16
    --set train.batch=2)
execute_process(COMMAND ${BNEXP} bench --json ${small} --variants ternary,bf16,fp16
                RESULT_VARIABLE code OUTPUT_VARIABLE out ERROR_VARIABLE said)
if(NOT code EQUAL 0)
    message(FATAL_ERROR "bnexp bench: exit ${code}: ${said}")
endif()
string(JSON count LENGTH "${out}" steps)
string(JSON name GET "${out}" steps 2 variant)
string(JSON ratio GET "${out}" ratios ternary_vs_bf16)
if(NOT count EQUAL 3 OR NOT name STREQUAL "fp16" OR NOT ratio GREATER 0)
    message(FATAL_ERROR "bnexp bench --json printed ${out}")
endif()
execute_process(COMMAND ${BNEXP} bench ${small} --variants quaternary RESULT_VARIABLE code
                ERROR_VARIABLE said OUTPUT_QUIET)
if(NOT code EQUAL 2 OR NOT said MATCHES "quaternary")
    message(FATAL_ERROR "bnexp bench --variants quaternary: exit ${code}: ${said}")
endif()
