# Scans that are killed and go on: on the CPU, and on emulated GPUs; more kills by hand: tests/resume.sh ... 100.
add_test(NAME resume COMMAND ${CMAKE_CURRENT_LIST_DIR}/resume.sh $<TARGET_FILE:sluice_program> $<TARGET_FILE:tool_make> 20)
set_tests_properties(resume PROPERTIES TIMEOUT 600)
