bn_test(half bn_base)
bn_test(ops_quantize bn_ops)
bn_test(ops_gradients bn_ops)
target_sources(test_ops_gradients PRIVATE support/ops_lab.c)
