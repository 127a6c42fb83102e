# Data that no run could train on: exit 2, one line that names the file, and nothing is left behind.
# What was there before stays as it was.
file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${WORK}/tmp)
set(ENV{XDG_CACHE_HOME} ${WORK}/cache)
set(ENV{TMPDIR} ${WORK}/tmp)
unset(ENV{BNEXP_HOME})
file(WRITE ${WORK}/empty.txt "")
file(WRITE ${WORK}/short.txt "Too short.\n")
file(WRITE ${WORK}/short.bin "abc")
string(REPEAT "0" 3000 zeros)
file(WRITE ${WORK}/no_train.bin ${zeros})
file(WRITE ${WORK}/no_val.bin ${zeros})
file(WRITE ${WORK}/folder/dataset.json "{\"schema_version\":0}\n")
file(WRITE ${WORK}/pieces.model "no model\n")
file(WRITE ${WORK}/sweep.toml [=[
name = "s"
method = "grid"
[parameters]
"optim.lr" = { values = [1e-3, 2e-3] }
[config]
"model.context" = 64
"train.steps" = 3
]=])
file(WRITE ${WORK}/contexts.toml [=[
name = "c"
method = "grid"
[parameters]
"model.context" = { values = [32, 64] }
[config]
"train.steps" = 3
]=])

set(program ${BNEXP})

# refused(WORDS ARGUMENTS...): ${program} with them: exit 2, one line that holds the words, no file more or less.
function(refused words)
    file(GLOB_RECURSE before LIST_DIRECTORIES true ${WORK}/* ${WORK}/.*)
    execute_process(COMMAND ${program} ${ARGN} WORKING_DIRECTORY ${WORK} RESULT_VARIABLE got
                    ERROR_VARIABLE said OUTPUT_VARIABLE out)
    file(GLOB_RECURSE after LIST_DIRECTORIES true ${WORK}/* ${WORK}/.*)
    string(FIND "${said}" "${words}" at)
    if(NOT got EQUAL 2 OR at EQUAL -1 OR NOT said MATCHES "^[^\n]+\n$" OR NOT out STREQUAL "")
        message(SEND_ERROR "${program} ${ARGN}: exit ${got}, expected 2 and '${words}', said: ${said}${out}")
    endif()
    if(NOT before STREQUAL after)
        message(SEND_ERROR "${program} ${ARGN} changed the folder: ${before} became ${after}")
    endif()
endfunction()

execute_process(COMMAND mkfifo ${WORK}/pipe.txt ${WORK}/pipe.bin) # nobody will ever write to them
file(WRITE ${WORK}/a:b.txt "A name with a colon.\n")
# A text under a name that is not UTF-8; CMake could not say it.
file(WRITE ${WORK}/latin1.sh "cp short.txt \"$(printf 'b\\351d.txt')\"
exec ${BNEXP} train tiny --set data.path=\"$(printf 'b\\351d.txt')\"\n")

foreach(round first second)
    refused("pipe.txt is not a regular file" train tiny --set data.path=pipe.txt)
    refused("pipe.bin is not a file" train tiny --set data.path=pipe.bin)
    refused("pipe.txt is not a regular file" data info pipe.txt)
    refused("there is no file 'a' here; ':' stands between files" train tiny --set data.path=a:b.txt)
    refused("'data.path' must name a text file" train tiny --set data.path=)
    refused("'data.path' must name a text file" train tiny --set data.path=:)
    refused("empty.txt is empty (0 bytes)" train tiny --set data.path=empty.txt)
    refused("short.txt: its training part has" train tiny --set data.path=short.txt)
    refused("missing.txt" train tiny --set data.path=missing.txt)
    refused("short.bin: 3 bytes, but a token shard begins" train tiny --set data.path=short.bin)
    refused("no_train.bin: no token shard" train tiny --set data.path=no_train.bin:no_val.bin)
    refused("no_train.bin: no token shard" data info no_train.bin)
    refused("folder/dataset.json is damaged" train tiny --set data.path=folder)
    refused("folder/dataset.json is damaged" data info folder)
    refused("pieces.model' is no SentencePiece model"
            train tiny --set data.path=contexts.toml --set data.tokenizer=pieces.model)
    refused("pieces.model' is no SentencePiece model"
            data prepare contexts.toml --out made --tokenizer pieces.model)
    refused("no_train.bin: no token shard" sweep sweep.toml --set data.path=no_train.bin)
    refused("empty.txt is empty (0 bytes)" sweep sweep.toml --set data.path=empty.txt)
    refused("short.txt: its training part has" sweep sweep.toml --set data.path=short.txt)
    refused("missing.txt" sweep sweep.toml --set data.path=missing.txt)
    refused("empty.txt is empty (0 bytes)" sweep sweep.toml --set data.path=empty.txt --detach)
    refused("empty.txt is empty (0 bytes)" sweep contexts.toml --set data.path=empty.txt)
    if(round STREQUAL "first") # again, with a home that has something in it
        execute_process(COMMAND ${BNEXP} sweep sweep.toml --set train.eval_tokens=512 --set
                                train.device=cpu
                        WORKING_DIRECTORY ${WORK} RESULT_VARIABLE got ERROR_VARIABLE said
                        OUTPUT_VARIABLE out)
        if(NOT got EQUAL 0 OR NOT EXISTS ${WORK}/runs/bnexp.db)
            message(SEND_ERROR "a sweep with good data: exit ${got}, said: ${out}${said}")
        endif()
    endif()
endforeach()
execute_process(COMMAND sh ${WORK}/latin1.sh WORKING_DIRECTORY ${WORK} OUTPUT_QUIET ERROR_QUIET) # the copy
set(program sh ${WORK}/latin1.sh)
refused("is not UTF-8; link it to one that is")
