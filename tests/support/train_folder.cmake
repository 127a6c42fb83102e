# A run's folder is its whole world: it runs again from there, and says how that ended:
#   cmake -DBNEXP=build/release/bnexp -DTEXT=docs/architecture.md -DWORK=scratch -P tests/support/train_folder.cmake
file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${WORK})
set(small --set data.path=${TEXT} --set data.cache=${WORK}/cache --set train.steps=3 --set model.width=16
          --set model.layers=1 --set model.context=16 --set train.batch=2 --set train.eval_tokens=512)
execute_process(COMMAND ${BNEXP} train tiny --home ${WORK} ${small} RESULT_VARIABLE first OUTPUT_QUIET)
execute_process(COMMAND ${BNEXP} train ${WORK}/train/tiny-1 --json RESULT_VARIABLE again OUTPUT_VARIABLE said)
string(JSON state GET "${said}" state)
string(JSON dir GET "${said}" dir)
if(NOT first EQUAL 0 OR NOT again EQUAL 0 OR NOT state STREQUAL "finished"
   OR NOT dir STREQUAL "${WORK}/train/tiny-1")
    message(FATAL_ERROR "exit ${first}, then ${again}, said: ${said}")
endif()
