bn_test(http bn_base Threads::Threads)
target_sources(test_http PRIVATE support/canned_server.c)
target_compile_definitions(test_http PRIVATE _GNU_SOURCE) # strcasestr, in the test's server
bn_test(retry bn_reporters)
bn_test(credentials bn_reporters)
bn_test(wandb_body bn_reporters PkgConfig::jansson)
