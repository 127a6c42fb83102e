/* cmocka_all.h - cmocka and what it needs before it. */
#ifndef BN_TESTS_CMOCKA_ALL_H
#define BN_TESTS_CMOCKA_ALL_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* clang-format off: cmocka.h must come last, it declares nothing that it uses */
#include <cmocka.h>
/* clang-format on */

#endif
