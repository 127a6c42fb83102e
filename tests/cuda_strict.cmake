# The CUDA plug-in's own host side - runtime_cuda.cu, gemm_lt.cu, nccl.cu - on the host: by the makers'
# headers, against twins of their libraries that abort where documentation is not followed
# (support/strict_*.cpp). Kernels are emulated as for the other twin.
get_property(BN_CUDA_INCLUDES GLOBAL PROPERTY BN_CUDA_INCLUDES)
get_property(BN_NCCL_INCLUDES GLOBAL PROPERTY BN_NCCL_INCLUDES)
if(NOT BN_CUDA_INCLUDES OR NOT TARGET bnexp_cuda_host OR BN_SANITIZE STREQUAL "thread")
    message(STATUS "the plug-in's calls of CUDA are not tested on this build")
    return()
endif()

set(calls ${PROJECT_SOURCE_DIR}/engine/cuda/runtime_cuda.cu ${PROJECT_SOURCE_DIR}/engine/cuda/gemm_lt.cu)
set(transport support/cuda_transport_host.cpp)
if(BN_NCCL_INCLUDES)
    set(transport ${PROJECT_SOURCE_DIR}/engine/cuda/nccl.cu)
endif()
set_source_files_properties(${calls} ${PROJECT_SOURCE_DIR}/engine/cuda/nccl.cu PROPERTIES
    LANGUAGE CXX COMPILE_OPTIONS "-include;cuda_runtime_api.h")
add_library(bnexp_cuda_strict MODULE support/strict_cublaslt.cpp support/strict_cudart.cpp
            support/strict_stream.cpp ${calls} ${transport} ${BN_CUDA_PATHS}
            ${PROJECT_SOURCE_DIR}/engine/base/status.c ${PROJECT_SOURCE_DIR}/engine/base/utf8.c)
target_include_directories(bnexp_cuda_strict PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
target_include_directories(bnexp_cuda_strict SYSTEM PRIVATE ${BN_CUDA_INCLUDES} ${BN_NCCL_INCLUDES})
target_link_libraries(bnexp_cuda_strict PRIVATE bn_emulated ${CMAKE_DL_LIBS})
target_compile_options(bnexp_cuda_strict PRIVATE -O2)
set_target_properties(bnexp_cuda_strict PROPERTIES C_VISIBILITY_PRESET hidden
                      CXX_VISIBILITY_PRESET hidden)

# bn_strict_test(NAME): an existing test of the CUDA path once more, with the makers' calls.
function(bn_strict_test name)
    add_test(NAME ${name}_strict COMMAND test_${name})
    add_dependencies(test_${name} bnexp_cuda_strict)
    set_tests_properties(${name}_strict PROPERTIES TIMEOUT 300 ENVIRONMENT
        "BNEXP_CUDA_PLUGIN=$<TARGET_FILE:bnexp_cuda_strict>;BNEXP_CUDA_MANAGED=1;LD_LIBRARY_PATH=${CMAKE_CURRENT_BINARY_DIR}/strict")
endfunction()
bn_strict_test(cuda_model)
bn_strict_test(cuda_halves)

bn_test(cuda_calls bn_ops)
add_dependencies(test_cuda_calls bnexp_cuda_strict)
set_tests_properties(cuda_calls PROPERTIES
    ENVIRONMENT "BNEXP_CUDA_PLUGIN=$<TARGET_FILE:bnexp_cuda_strict>")

if(BN_NCCL_INCLUDES AND TARGET test_parallel_cuda)
    add_library(strict_nccl SHARED support/strict_nccl.cpp)
    target_include_directories(strict_nccl PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
    target_include_directories(strict_nccl SYSTEM PRIVATE ${BN_CUDA_INCLUDES} ${BN_NCCL_INCLUDES})
    target_compile_features(strict_nccl PRIVATE cxx_std_20)
    target_link_libraries(strict_nccl PRIVATE bn_flags)
    set_target_properties(strict_nccl PROPERTIES OUTPUT_NAME nccl SOVERSION 2
                          LIBRARY_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/strict)
    add_dependencies(bnexp_cuda_strict strict_nccl)
    bn_strict_test(parallel_cuda)
endif()
