bn_test(ranks bn_engine)

# ranks_lab: a run trained by several processes.
add_library(ranks_lab STATIC support/ranks_lab.c)
target_include_directories(ranks_lab PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(ranks_lab PUBLIC run_lab)
bn_test(parallel ranks_lab model_lab)

add_test(NAME e2e_ranks COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/e2e/ranks.sh $<TARGET_FILE:bnexp>)
set_tests_properties(e2e_ranks PROPERTIES TIMEOUT 300)

# NVIDIA's library as the tests need it: whole, of an old driver, and none of NVIDIA's at all.
bn_test(nvml bn_engine)
foreach(kind "" _OLD _FOREIGN)
    string(TOLOWER fake_nvml${kind} fake)
    add_library(${fake} MODULE support/fake_nvml.c)
    if(kind)
        target_compile_definitions(${fake} PRIVATE FAKE_NVML${kind})
    endif()
    target_compile_definitions(test_nvml PRIVATE FAKE_NVML${kind}="$<TARGET_FILE:${fake}>")
    add_dependencies(test_nvml ${fake})
endforeach()

add_test(NAME e2e_doctor COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/e2e/doctor.sh $<TARGET_FILE:bnexp>
         $<TARGET_FILE:fake_nvml> $<$<TARGET_EXISTS:bnexp_cuda_host>:$<TARGET_FILE:bnexp_cuda_host>>)

# What runs on a GPU is a script of its own; here its logic.
add_test(NAME gpu_script COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/gpu/selftest.sh)
if(TARGET bnexp_cuda_host)
    bn_cuda_test(parallel_cuda ranks_lab)
endif()
