bn_test(gemm bn_gemm)
