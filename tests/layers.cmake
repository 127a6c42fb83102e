# The floors of the house: who may include whom. Run by ctest; see docs/architecture.md.
cmake_minimum_required(VERSION 3.24)
set(ROOT ${CMAKE_CURRENT_LIST_DIR}/..)
set(broken 0)

# floor(NAME FILES pattern... MAY prefix...): files of the patterns may include "target" when it is a
# file named in MAY, or lies directly in a folder named there.
function(floor name)
    cmake_parse_arguments(PARSE_ARGV 1 a "" "" "FILES;MAY;NEVER")
    list(TRANSFORM a_FILES PREPEND ${ROOT}/)
    file(GLOB files RELATIVE ${ROOT} ${a_FILES})
    foreach(file ${files})
        file(STRINGS ${ROOT}/${file} includes REGEX "^#include \"")
        foreach(line ${includes})
            string(REGEX REPLACE "^#include \"([^\"]+)\".*" "\\1" target "${line}")
            set(ok 0)
            foreach(prefix ${a_MAY})
                if(target MATCHES "^${prefix}(/[^/]+)?$")
                    set(ok 1)
                endif()
            endforeach()
            if(NOT ok OR target IN_LIST a_NEVER)
                message("${file}: the floor '${name}' may not include ${target}")
                set(broken 1 PARENT_SCOPE)
            endif()
        endforeach()
        file(STRINGS ${ROOT}/${file} banned
             REGEX "(^|[^a-z_])(strcpy|strcat|sprintf|strtok|atoi|atof|gets|system|popen)\\(")
        if(banned)
            message("${file}: banned function: ${banned}")
            set(broken 1 PARENT_SCOPE)
        endif()
    endforeach()
endfunction()

# only(HEADER PLACE...): the one file, or the files of the one folder, that know a library.
function(only header)
    file(GLOB_RECURSE files RELATIVE ${ROOT} ${ROOT}/engine/* ${ROOT}/store/* ${ROOT}/reporters/*
         ${ROOT}/runner/*)
    foreach(file ${files})
        if(NOT file MATCHES "\\.(c|h|cpp|cu|cuh)$")
            continue()
        endif()
        file(STRINGS ${ROOT}/${file} includes REGEX "^#include <${header}>")
        cmake_path(GET file PARENT_PATH folder)
        if(includes AND NOT file IN_LIST ARGN AND NOT folder IN_LIST ARGN)
            message("${file}: only ${ARGN} may include <${header}>")
            set(broken 1 PARENT_SCOPE)
        endif()
    endforeach()
endfunction()

floor(base      FILES engine/base/*.[ch]       MAY engine/base)
floor(reference FILES engine/reference/*.[ch]  MAY engine/reference engine/host.h engine/ops.h engine/base)
floor(cpu       FILES engine/cpu/*.[ch]        MAY engine/cpu engine/host.h engine/ops.h engine/base)
floor(cuda      FILES engine/cuda/*            MAY engine/cuda engine/ops.h engine/transport.h engine/base)
floor(corpus    FILES engine/corpus/*.[ch] engine/corpus/*.cpp MAY engine/corpus engine/base)
floor(formats   FILES engine/formats/*.[ch]    MAY engine/formats engine/params.h engine/config.h
                                                   engine/ops.h engine/base)
floor(engine    FILES engine/*.[ch]            MAY engine engine/base engine/corpus engine/formats
                                                   engine/reference/reference_backend.h
                                                   engine/cpu/cpu_backend.h engine/cpu/cpu_infer.h
                                                   engine/cuda/cuda_backend.h)
floor(store     FILES store/*.[ch]             MAY store engine/base)
floor(stats     FILES reporters/stats/*.[ch]   MAY reporters/stats engine/base)
floor(reporters FILES reporters/*.[ch]         MAY reporters reporters/stats store engine/base NEVER store/db.h)
floor(search    FILES runner/search/*.[ch]     MAY runner/search engine/base)
floor(fleet     FILES runner/fleet/*.[ch]      MAY runner/fleet runner/toml.h store engine/base
                                                   engine/config.h NEVER store/db.h)
floor(mpi       FILES engine/mpi/*.[ch]        MAY engine/mpi engine/transport.h engine/base)
floor(worker    FILES runner/worker.[ch] runner/rank_head.[ch] runner/toml.[ch] runner/toml.cpp
                MAY runner/worker.h runner/rank_head.h runner/toml.h runner/fleet/rundir.h engine engine/base)
floor(sweep     FILES runner/sweep.[ch] runner/spec.[ch] runner/spec_*.[ch] runner/sweep_*.[ch]
                MAY runner runner/search runner/fleet store engine/base engine/config.h engine/config_files.h NEVER store/db.h)
floor(cli       FILES runner/cli/*.[ch]
                MAY runner runner/cli runner/search runner/fleet reporters reporters/stats store engine engine/corpus
                    engine/formats engine/base NEVER store/db.h)

only(sqlite3.h store/db.c)
only(curl/curl.h engine/base/http.c)
only(microhttpd.h reporters/serve.c)
only(toml\\+\\+/toml.h runner/toml.cpp)
only("(cuda|cublas|nccl)[A-Za-z0-9_]*\\.h" engine/cuda)
only(sentencepiece_processor.h engine/corpus/sentencepiece.cpp)
only(mpi.h engine/mpi/mpi_transport.c)

if(broken)
    message(FATAL_ERROR "the floors are crossed")
endif()
