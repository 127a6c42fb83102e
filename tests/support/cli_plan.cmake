# bnexp sweep --dry-run: what the runs will take, held against what runs like them took.
file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${WORK})
set(ENV{XDG_CACHE_HOME} ${WORK}/cache)
set(ENV{BNEXP_HOME} ${WORK}/home)

# tiny_sweep(NAME STEPS BATCH): a sweep of two runs, each of STEPS * BATCH * 32 tokens.
function(tiny_sweep name steps batch)
    file(WRITE ${WORK}/${name}.toml "name = \"${name}\"\nmethod = \"grid\"\n[parameters]\n"
         "\"quant.variant\" = { values = [\"ternary\", \"fp16\"] }\n[config]\n\"model.width\" = 32\n"
         "\"model.layers\" = 1\n\"model.heads\" = 2\n\"model.context\" = 32\n\"train.steps\" = ${steps}\n"
         "\"train.batch\" = ${batch}\n\"train.eval_tokens\" = 64\n\"train.device\" = \"cpu\"\n")
endfunction()

# bnexp(ARGUMENTS...): what it printed is in `out`.
function(bnexp)
    execute_process(COMMAND ${BNEXP} ${ARGN} WORKING_DIRECTORY ${WORK} RESULT_VARIABLE got
                    ERROR_VARIABLE said OUTPUT_VARIABLE out)
    if(NOT got EQUAL 0)
        message(FATAL_ERROR "bnexp ${ARGN}: exit ${got}, said: ${out}${said}")
    endif()
    set(out "${out}" PARENT_SCOPE)
endfunction()

# planned(WANTED PATH...): the member of the last dry run's JSON is that.
function(planned wanted)
    string(JSON got ERROR_VARIABLE problem GET "${out}" ${ARGN})
    if(NOT got STREQUAL wanted)
        message(SEND_ERROR "${ARGN} is '${got}', expected '${wanted}': ${out}")
    endif()
endfunction()

# thousandths(OUT NUMBER): as a whole number of thousandths.
function(thousandths to number)
    string(REGEX MATCH "^([0-9]+)(\\.([0-9]*))?$" whole "${number}")
    string(SUBSTRING "${CMAKE_MATCH_3}000" 0 3 rest)
    math(EXPR value "${CMAKE_MATCH_1} * 1000 + 1${rest} - 1000")
    set(${to} ${value} PARENT_SCOPE)
endfunction()

tiny_sweep(small 20 4)
bnexp(sweep small.toml --dry-run)
if(NOT out MATCHES "5\\.12k tokens in all\nno finished runs to estimate time and disk from\n$")
    message(SEND_ERROR "a dry run without finished runs said: ${out}")
endif()
bnexp(sweep small.toml --dry-run --json)
planned(5120 tokens)
planned(0 estimate from_runs)
foreach(member time_s disk_bytes)
    string(JSON type TYPE "${out}" estimate ${member})
    if(NOT type STREQUAL "NULL")
        message(SEND_ERROR "${member} is a ${type} where nothing is known: ${out}")
    endif()
endforeach()
if(EXISTS ${WORK}/home)
    message(SEND_ERROR "a dry run made the home")
endif()

bnexp(sweep small.toml)
bnexp(sweep small.toml --dry-run)
if(NOT out MATCHES "about [^\n]+ and [0-9.]+ [KM]iB of disk for all, estimated from 2 finished runs\n$")
    message(SEND_ERROR "a dry run with finished runs said: ${out}")
endif()
bnexp(sweep small.toml --dry-run --json --jobs 1)
planned(2 estimate from_runs)
string(JSON time_s GET "${out}" estimate time_s)
string(JSON disk GET "${out}" estimate disk_bytes)
thousandths(small_ms ${time_s})

# Ten times the tokens are ten times the time; checkpoints are as large as they were.
tiny_sweep(large 50 16)
bnexp(sweep large.toml --dry-run --json --jobs 1)
planned(51200 tokens)
planned(2 estimate from_runs)
planned(OFF estimate distant)
planned(${disk} estimate disk_bytes)
string(JSON time_s GET "${out}" estimate time_s)
thousandths(large_ms ${time_s})
math(EXPR least "9 * ${small_ms}")
math(EXPR most "11 * (${small_ms} + 1)")
if(large_ms LESS least OR large_ms GREATER most)
    message(SEND_ERROR "ten times the tokens: ${large_ms} ms after ${small_ms} ms")
endif()

tiny_sweep(huge 500 64)
bnexp(sweep huge.toml --dry-run --json)
planned(ON estimate distant)
bnexp(sweep huge.toml --dry-run)
if(NOT out MATCHES "estimated from 2 finished runs, little like these\n$")
    message(SEND_ERROR "a dry run far from what has finished said: ${out}")
endif()

# Another program knows only the runs of its own sweep.
file(WRITE ${WORK}/other.toml "name = \"other\"\nmethod = \"grid\"\ncommand = [\"true\"]\n"
     "[parameters]\nx = { values = [1, 2, 3] }\n")
bnexp(sweep other.toml --dry-run --json)
planned(0 tokens)
planned(0 estimate from_runs)
bnexp(sweep other.toml)
bnexp(sweep other.toml --dry-run --json)
planned(3 estimate from_runs)
