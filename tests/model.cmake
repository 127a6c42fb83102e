# run_lab: small whole runs, for whoever tests what a run leaves behind.
add_library(run_lab STATIC support/run_lab.c)
target_include_directories(run_lab PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(run_lab PUBLIC bn_engine PkgConfig::cmocka PkgConfig::jansson)

bn_test(params bn_engine)
bn_test(schedule bn_model)
bn_test(events bn_engine PkgConfig::jansson)
bn_test(train run_lab)
bn_test(checkpoint run_lab)
target_link_options(test_checkpoint PRIVATE -Wl,--wrap=link)
bn_test(safetensors bn_formats)

# model_lab: one network and one batch, for tests that look inside.
add_library(model_lab STATIC support/model_lab.c)
target_include_directories(model_lab PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(model_lab PUBLIC bn_model PkgConfig::cmocka)

bn_test(model model_lab)
bn_test(optimizer model_lab)
bn_test(diagnostics model_lab bn_engine)
bn_test(golden model_lab bn_formats)
target_compile_definitions(test_golden PRIVATE BN_GOLDEN="${CMAKE_CURRENT_SOURCE_DIR}/golden")

# The golden files themselves are made again and compared, where PyTorch is. Debian's own python3
# first: another one on the path rarely has it.
find_program(BN_PYTHON NAMES python3 PATHS /usr/bin NO_DEFAULT_PATH)
find_program(BN_PYTHON NAMES python3)
if(BN_PYTHON)
    execute_process(COMMAND ${BN_PYTHON} -c "import torch" RESULT_VARIABLE no_torch
                    OUTPUT_QUIET ERROR_QUIET)
    if(NOT no_torch)
        add_test(NAME golden_is_what_pytorch_says
                 COMMAND ${BN_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/golden/make_golden.py --check)
        set_tests_properties(golden_is_what_pytorch_says PROPERTIES TIMEOUT 120)
    endif()
endif()

bn_fuzz(safetensors 4096 LIBRARIES jansson z
        SOURCES engine/formats/safetensors.c engine/base/file.c engine/base/status.c
                engine/base/utf8.c
        # Without whole headers and words to begin with, chance never gets past the JSON parser.
        SEEDS ${CMAKE_CURRENT_SOURCE_DIR}/cases/safetensors
              -dict=${CMAKE_CURRENT_SOURCE_DIR}/cases/safetensors.dict)
