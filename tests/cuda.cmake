# The CUDA backend on the host: its own files, with an emulator's words in front (support/cuda_emu.h).
# The emulator switches stacks by hand, which it can on x86-64 and the thread sanitizer cannot follow.
if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$" OR BN_SANITIZE STREQUAL "thread")
    message(STATUS "the CUDA kernels are not emulated on this build")
    return()
endif()

add_library(bn_emulated INTERFACE)
target_include_directories(bn_emulated INTERFACE ${CMAKE_CURRENT_SOURCE_DIR})
target_compile_features(bn_emulated INTERFACE cxx_std_20)
target_link_libraries(bn_emulated INTERFACE bn_base)

add_executable(test_cuda_emu test_cuda_emu.cpp)
target_link_libraries(test_cuda_emu PRIVATE bn_emulated PkgConfig::cmocka m)
add_test(NAME cuda_emu COMMAND test_cuda_emu)

get_property(BN_CUDA_PATHS GLOBAL PROPERTY BN_CUDA_PATHS)
# The plug-in's host twin.
set_source_files_properties(${BN_CUDA_PATHS} PROPERTIES LANGUAGE CXX COMPILE_OPTIONS
    "-x;c++;-include;${CMAKE_CURRENT_SOURCE_DIR}/support/cuda_emu.h")
add_library(bn_cuda_host STATIC support/cuda_gemm_host.cpp support/cuda_runtime_host.cpp
            ${BN_CUDA_PATHS})
target_link_libraries(bn_cuda_host PRIVATE bn_emulated)
set_target_properties(bn_cuda_host PROPERTIES POSITION_INDEPENDENT_CODE ON)
