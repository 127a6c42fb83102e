# The dashboard: its data files, its page.
bn_test(site bn_site bn_store PkgConfig::jansson)
target_compile_definitions(test_site PRIVATE _GNU_SOURCE) # mkdtemp

bn_test(site_curves bn_site bn_store PkgConfig::jansson)
target_compile_definitions(test_site_curves PRIVATE _GNU_SOURCE) # mkdtemp

bn_test(serve bn_site bn_store)
target_compile_definitions(test_serve PRIVATE _GNU_SOURCE) # mkdtemp

add_executable(page_home support/page_home.c support/page_lab.c)
target_link_libraries(page_home PRIVATE bn_store bn_config m)
target_compile_definitions(page_home PRIVATE _GNU_SOURCE) # M_PI

add_test(NAME page_units COMMAND ${NODE_EXECUTABLE} --test
         WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}/web)
set_tests_properties(page_units PROPERTIES TIMEOUT 120)

# The page in Debian's Chromium. Node looks for modules beside a script, so scripts and modules meet
# in the build folder.
set(e2e ${PROJECT_BINARY_DIR}/e2e)
set(scripts browser.mjs claims.mjs dashboard.mjs live.mjs looks.mjs speed.mjs)
list(TRANSFORM scripts PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/e2e/ OUTPUT_VARIABLE script_files)
set(manifest ${CMAKE_CURRENT_SOURCE_DIR}/e2e/package.json ${CMAKE_CURRENT_SOURCE_DIR}/e2e/package-lock.json)
add_custom_command(
    OUTPUT ${e2e}/node_modules/.package-lock.json
    COMMAND ${CMAKE_COMMAND} -E make_directory ${e2e}
    COMMAND ${CMAKE_COMMAND} -E copy ${manifest} ${e2e}
    COMMAND ${NPM_EXECUTABLE} ci --prefix ${e2e} --ignore-scripts --no-audit --no-fund --loglevel=error
    DEPENDS ${manifest}
    COMMENT "npm ci: playwright-core and axe-core"
    VERBATIM)
add_custom_command(
    OUTPUT ${e2e}/scripts.copied
    COMMAND ${CMAKE_COMMAND} -E make_directory ${e2e}
    COMMAND ${CMAKE_COMMAND} -E copy ${script_files} ${e2e}
    COMMAND ${CMAKE_COMMAND} -E touch ${e2e}/scripts.copied
    DEPENDS ${script_files}
    VERBATIM)
add_custom_target(e2e_modules ALL DEPENDS ${e2e}/node_modules/.package-lock.json ${e2e}/scripts.copied)

find_program(CHROMIUM_EXECUTABLE chromium)
find_program(SQLITE3_EXECUTABLE sqlite3)
if(CHROMIUM_EXECUTABLE AND SQLITE3_EXECUTABLE)
    add_test(NAME page_browser COMMAND ${CMAKE_COMMAND} -E env BN_CHROMIUM=${CHROMIUM_EXECUTABLE}
             ${NODE_EXECUTABLE} ${e2e}/dashboard.mjs $<TARGET_FILE:bnexp> $<TARGET_FILE:page_home> ${e2e}/scratch)
    add_test(NAME page_live COMMAND ${CMAKE_COMMAND} -E env BN_CHROMIUM=${CHROMIUM_EXECUTABLE}
             ${NODE_EXECUTABLE} ${e2e}/live.mjs $<TARGET_FILE:bnexp> $<TARGET_FILE:page_home> ${e2e}/scratch-live)
    add_test(NAME page_looks COMMAND ${CMAKE_COMMAND} -E env BN_CHROMIUM=${CHROMIUM_EXECUTABLE}
             ${NODE_EXECUTABLE} ${e2e}/looks.mjs $<TARGET_FILE:bnexp> $<TARGET_FILE:page_home> ${e2e}/scratch-looks)
    set_tests_properties(page_browser page_live page_looks PROPERTIES TIMEOUT 600)
    # A browser takes every core it finds; beside it other tests' time limits mean nothing, nor its own.
    set_tests_properties(page_browser page_live page_looks PROPERTIES RUN_SERIAL ON)
else()
    message(STATUS "the page is not tested in a browser: install chromium and sqlite3")
endif()
