# What people see of bnexp data, generate and eval: exit codes, one line for what is wrong, and the way
# from text to a prepared folder and back to figures.
set(ENV{XDG_CACHE_HOME} ${WORK}/cache)
set(ENV{BNEXP_HOME} ${WORK}/home)
file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${WORK})

# refused(EXIT WORDS ARGUMENTS...): exits with that code and says one line that holds the words.
function(refused code words)
    execute_process(COMMAND ${BNEXP} ${ARGN} WORKING_DIRECTORY ${WORK} RESULT_VARIABLE got
                    ERROR_VARIABLE said OUTPUT_VARIABLE out)
    string(FIND "${said}" "${words}" at)
    string(REGEX MATCHALL "\n" lines "${said}")
    list(LENGTH lines count)
    if(NOT got EQUAL code OR at EQUAL -1 OR NOT count EQUAL 1 OR NOT out STREQUAL "")
        message(SEND_ERROR "bnexp ${ARGN}: exit ${got}, expected ${code} and '${words}', said: ${said}${out}")
    endif()
endfunction()

function(works words)
    execute_process(COMMAND ${BNEXP} ${ARGN} WORKING_DIRECTORY ${WORK} RESULT_VARIABLE got
                    ERROR_VARIABLE said OUTPUT_VARIABLE out)
    if(NOT got EQUAL 0 OR NOT out MATCHES "${words}")
        message(SEND_ERROR "bnexp ${ARGN}: exit ${got}, expected 0 and '${words}', said: ${out}${said}")
    endif()
endfunction()

refused(2 "did you mean 'synth'" data snyth)
refused(2 "missing.txt: no such file" data info missing.txt)
file(WRITE ${WORK}/empty.txt "")
refused(2 "empty.txt is empty (0 bytes), expected text" data info empty.txt)
refused(2 "has no dataset.json" data info .)
refused(2 "expected 'bytes' or a SentencePiece model" data info --tokenizer no.model)
refused(2 "bytes must be 1024 to" data synth --bytes 7)
refused(2 "--out DIR is missing" data fetch some/dataset)
refused(2 "--out DIR is missing" data prepare .)
refused(2 "must have 300" data tokenizer --vocab 7 empty.txt)
refused(2 "did you mean '--json'" data info --jsn)

works("entropy 0\\.[0-9]+ nats" data synth --out s.txt --bytes 300000)
works("\"entropy_floor_nats_per_byte\":0\\.[0-9]+" data info s.txt --json)
works("t.model: 500 pieces" data tokenizer --vocab 500 --out t.model s.txt)
file(MAKE_DIRECTORY ${WORK}/texts)
foreach(i RANGE 1 60)
    file(WRITE ${WORK}/texts/${i}.txt "Text number ${i} of sixty short texts, each a document of its own.\n")
endforeach()
works("60 documents" data prepare texts --tokenizer t.model --val-fraction 0.2 --out shards)
works("vocabulary 500" data info shards)
refused(2 "shards exists already" data prepare texts --out shards)

refused(3 "home/bnexp.db yet" eval nobody)
refused(1 "s.txt" eval s.txt)
refused(2 "--temperature must be 0 to 100, is -1" generate nobody --temperature -1)
refused(2 "--top-p must be above 0 and at most 1, is 0" generate nobody --top-p 0)

works("finished" train tiny --set train.steps=3 --set data.path=s.txt --set train.eval_tokens=512 --set
      train.device=cpu --set train.threads=1)
works("bits_per_weight\":[12]\\." eval tiny-1 --json --tokens 512)
works("^Anna " generate tiny-1 --prompt "Anna " --tokens 20)
refused(3 "nobody" eval nobody)
refused(3 "nobody" generate nobody)
