# The CUDA backend on the host: its own files, with an emulator's words in front (support/cuda_emu.h).
# The emulator switches stacks by hand, which it can on x86-64. With the thread sanitizer it finds races
# between the threads of a kernel.
if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
    message(STATUS "the CUDA kernels are not emulated on this build")
    return()
endif()

add_library(bn_emulated INTERFACE)
target_include_directories(bn_emulated INTERFACE ${CMAKE_CURRENT_SOURCE_DIR})
target_compile_features(bn_emulated INTERFACE cxx_std_20)
# As nvcc: memory of the device is read as what it is said to be.
target_compile_options(bn_emulated INTERFACE -fno-strict-aliasing)
target_link_libraries(bn_emulated INTERFACE bn_flags)

add_executable(test_cuda_emu test_cuda_emu.cpp)
target_link_libraries(test_cuda_emu PRIVATE bn_emulated PkgConfig::cmocka m)
add_test(NAME cuda_emu COMMAND test_cuda_emu)

# The plug-in's host twin.
get_property(BN_CUDA_PATHS GLOBAL PROPERTY BN_CUDA_PATHS)
set_source_files_properties(${BN_CUDA_PATHS} PROPERTIES LANGUAGE CXX COMPILE_OPTIONS
    "-include;${CMAKE_CURRENT_SOURCE_DIR}/support/cuda_emu.h")
add_library(bnexp_cuda_host MODULE support/cuda_gemm_host.cpp support/cuda_runtime_host.cpp
            support/cuda_transport_host.cpp ${BN_CUDA_PATHS} ${PROJECT_SOURCE_DIR}/engine/base/status.c
            ${PROJECT_SOURCE_DIR}/engine/base/utf8.c)
target_include_directories(bnexp_cuda_host PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(bnexp_cuda_host PRIVATE bn_emulated)
target_compile_options(bnexp_cuda_host PRIVATE -O2) # a Debug build would emulate for minutes
set_target_properties(bnexp_cuda_host PROPERTIES C_VISIBILITY_PRESET hidden
                      CXX_VISIBILITY_PRESET hidden)

# bn_cuda_test(NAME LIBRARY...): a test whose device "cuda" is the host twin.
function(bn_cuda_test name)
    bn_test(${name} ${ARGN})
    add_dependencies(test_${name} bnexp_cuda_host)
    set_tests_properties(${name} PROPERTIES
        ENVIRONMENT "BNEXP_CUDA_PLUGIN=$<TARGET_FILE:bnexp_cuda_host>")
endfunction()

bn_cuda_test(cuda_ops bn_ops)
target_sources(test_cuda_ops PRIVATE support/ops_lab.c support/every_op.c)
bn_cuda_test(cuda_halves bn_ops)
target_sources(test_cuda_halves PRIVATE support/ops_lab.c support/every_op.c support/half_ops.c)
bn_cuda_test(cuda_attention bn_ops)
target_sources(test_cuda_attention PRIVATE support/ops_lab.c support/every_op.c support/half_ops.c)
if(BN_SANITIZE STREQUAL "thread")
    set_tests_properties(cuda_ops cuda_halves cuda_attention PROPERTIES TIMEOUT 1800)
    return() # the kernels of whole models are the same
endif()
set_tests_properties(cuda_ops cuda_halves cuda_attention PROPERTIES TIMEOUT 300)
bn_cuda_test(cuda_model model_lab)
target_sources(test_cuda_model PRIVATE support/cuda_twin.c)
bn_cuda_test(cuda_steps run_lab model_lab Threads::Threads ${CMAKE_DL_LIBS})
target_sources(test_cuda_steps PRIVATE support/cuda_twin.c)
set_tests_properties(cuda_model PROPERTIES TIMEOUT 300)

add_test(NAME cuda_runs COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/e2e/cuda.sh $<TARGET_FILE:bnexp>
                                $<TARGET_FILE:bnexp_cuda_host> $<TARGET_FILE:fake_nvml>)
set_tests_properties(cuda_runs PROPERTIES TIMEOUT 120)
add_test(NAME bench_cuda COMMAND ${CMAKE_COMMAND} -DBNEXP=$<TARGET_FILE:bnexp>
                                 -P ${CMAKE_CURRENT_SOURCE_DIR}/support/bench_cuda.cmake)
set_tests_properties(bench_cuda PROPERTIES
    ENVIRONMENT "BNEXP_CUDA_PLUGIN=$<TARGET_FILE:bnexp_cuda_host>")
