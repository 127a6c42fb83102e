# bnexp bench --device cuda times replayed steps and counts the ops of others; a card whose peak is not
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
string(JSON forward_ms GET "${out}" steps 0 mean_ms linear_forward)
string(JSON optimizer_ms GET "${out}" steps 0 mean_ms optimizer)
if(NOT device MATCHES "^cuda: host" OR NOT rate GREATER 0 OR NOT forward_ms GREATER 0 OR
   NOT optimizer_ms GREATER 0 OR out MATCHES "mfu")
    message(FATAL_ERROR "bnexp bench --device cuda printed ${out}")
endif()
