bn_test(half bn_base)
foreach(name ops_quantize ops_gradients ops_formulas ops_halves cpu cpu_attention)
    bn_test(${name} bn_ops bn_cpu)
    target_sources(test_${name} PRIVATE support/ops_lab.c)
endforeach()
bn_test(cpu_crew bn_cpu)
foreach(name cpu ops_halves)
    target_sources(test_${name} PRIVATE support/every_op.c support/half_ops.c)
endforeach()
bn_test(cpu_pool bn_cpu)

# bnexp bench at a size where only its shape can be judged.
add_test(NAME bench_json
         COMMAND ${CMAKE_COMMAND} -DBNEXP=$<TARGET_FILE:bnexp>
                 -P ${CMAKE_CURRENT_SOURCE_DIR}/support/bench_json.cmake)
