# bnexp bench --device cuda times replayed steps: no op is counted apart, and a card whose peak is not
# known has no mfu.
execute_process(COMMAND ${BNEXP} bench --json --steps --rounds 1 --device cuda --preset tiny
                        --set model.width=32 --set model.context=16 --set train.batch=2
                        --variants ternary
                RESULT_VARIABLE code OUTPUT_VARIABLE out ERROR_VARIABLE said)
if(NOT code EQUAL 0)
    message(FATAL_ERROR "bnexp bench --device cuda: exit ${code}: ${said}")
endif()
string(JSON device GET "${out}" device)
string(JSON rate GET "${out}" steps 0 tokens_per_s)
if(NOT device MATCHES "^cuda: host" OR NOT rate GREATER 0 OR out MATCHES "mean_ms|mfu")
    message(FATAL_ERROR "bnexp bench --device cuda printed ${out}")
endif()
