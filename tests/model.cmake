# run_lab: small whole runs, for whoever tests what a run leaves behind.
add_library(run_lab STATIC support/run_lab.c)
target_include_directories(run_lab PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(run_lab PUBLIC bn_engine PkgConfig::cmocka PkgConfig::jansson)

bn_test(params bn_engine)
bn_test(schedule bn_model)
bn_test(events bn_engine PkgConfig::jansson)
bn_test(train run_lab)
