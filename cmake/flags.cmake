# bn_flags: what every target of ours is compiled with. BN_SANITIZE is "", "address" or "thread".
set(BN_SANITIZE "" CACHE STRING "Sanitizers to build with: empty, address (with undefined), thread")
set_property(CACHE BN_SANITIZE PROPERTY STRINGS "" address thread)

add_library(bn_flags INTERFACE)
target_include_directories(bn_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_definitions(bn_flags INTERFACE _POSIX_C_SOURCE=200809L)
target_compile_options(bn_flags INTERFACE
    $<$<COMPILE_LANGUAGE:C>:
        -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wdouble-promotion
        -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wundef -Wvla -Wcast-qual
        -Wwrite-strings -Wpointer-arith -Wformat=2 -Wswitch-enum -Wimplicit-fallthrough
        -Wnull-dereference $<$<C_COMPILER_ID:GNU>:-Wno-format-truncation>>
    $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wshadow>)
if(BN_SANITIZE STREQUAL "address")
    set(sanitizers -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
elseif(BN_SANITIZE STREQUAL "thread")
    set(sanitizers -fsanitize=thread -fno-omit-frame-pointer)
elseif(BN_SANITIZE)
    message(FATAL_ERROR "BN_SANITIZE is '${BN_SANITIZE}'; expected empty, 'address' or 'thread'")
endif()
target_compile_options(bn_flags INTERFACE ${sanitizers})
target_link_options(bn_flags INTERFACE ${sanitizers})
