bn_test(http bn_base Threads::Threads)
target_sources(test_http PRIVATE support/canned_server.c)
target_compile_definitions(test_http PRIVATE _GNU_SOURCE) # strcasestr, in the test's server
