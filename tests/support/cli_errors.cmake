# What people see when they mistype: one line on stderr, exit 2.
execute_process(COMMAND ${BNEXP} swep x.toml RESULT_VARIABLE code ERROR_VARIABLE said OUTPUT_VARIABLE out)
if(NOT code EQUAL 2 OR NOT said MATCHES "did you mean 'sweep'|there is no command 'swep'")
    message(FATAL_ERROR "bnexp swep: exit ${code}, said: ${said}")
endif()
execute_process(COMMAND ${BNEXP} --version RESULT_VARIABLE code OUTPUT_VARIABLE out)
if(NOT code EQUAL 0 OR NOT out MATCHES "^bnexp [0-9]+\\.[0-9]+\\.[0-9]+\n$")
    message(FATAL_ERROR "bnexp --version: exit ${code}, said: ${out}")
endif()

# bench tells a mistake before it measures anything for minutes.
foreach(words "--preset;nosuch" "--variants;foo" "--set;model.heads=7")
    execute_process(COMMAND ${BNEXP} bench ${words} RESULT_VARIABLE code ERROR_VARIABLE said OUTPUT_VARIABLE out)
    if(NOT code EQUAL 2 OR NOT out STREQUAL "" OR NOT said MATCHES "^bnexp: [^\n]+\n$")
        message(SEND_ERROR "bnexp bench ${words}: exit ${code}, said: ${said}${out}")
    endif()
endforeach()

# A help of several lines stays in its column.
execute_process(COMMAND ${BNEXP} bench --help OUTPUT_VARIABLE out)
if(NOT out MATCHES "\n                                 .default: ternary,")
    message(SEND_ERROR "bnexp bench --help: ${out}")
endif()

# Numbers of every command that takes one: below, beyond, not one.
foreach(words "sweep;x.toml;--jobs;0" "sweep;x.toml;--jobs;4097" "train;tiny;--ranks;0" "train;tiny;--gpus;-1"
        "bench;--rounds;0" "bench;--threads;-1" "ls;--limit;-1" "logs;run;-n;-1" "eval;run;--tokens;-1"
        "generate;run;--tokens;0" "generate;run;--top-p;0" "generate;run;--seed;99999999999999999999"
        "sync;wandb;--wait;0" "sync;wandb;--timeout;nan" "data;info;--val-fraction;1" "data;synth;--seed;-1"
        "data;fetch;x;--rows;-1" "data;prepare;x;--threads;1.5" "data;tokenizer;x;--vocab;-1")
    list(POP_BACK words value)
    list(POP_BACK words flag)
    execute_process(COMMAND ${BNEXP} ${words} ${flag} ${value} RESULT_VARIABLE code ERROR_VARIABLE said OUTPUT_VARIABLE out)
    if(NOT code EQUAL 2 OR NOT out STREQUAL "" OR NOT said MATCHES "^bnexp[^\n]*-[a-z-]+ must be a (whole )?number[^\n]*, is '${value}'\n$")
        message(SEND_ERROR "bnexp ${words} ${flag} ${value}: exit ${code}, said: ${said}${out}")
    endif()
endforeach()
