# A pool far larger than --mem-mib.  Sanitizers hold memory of their own, so they have no such test.
add_executable(peak peak.c)
target_link_libraries(peak PRIVATE sluice_flags)
if(NOT CMAKE_C_FLAGS MATCHES "-fsanitize")
  add_test(NAME bigpool COMMAND sh ${CMAKE_CURRENT_SOURCE_DIR}/bigpool.sh $<TARGET_FILE:sluice_program> $<TARGET_FILE:peak>
           1024 64 200 ${CMAKE_CURRENT_BINARY_DIR})
  set_tests_properties(bigpool PROPERTIES TIMEOUT 600)
endif()
