bn_test(half bn_base)
bn_test(ops_quantize bn_ops)
