# fault.cmake - tests in which the n-th allocation of the library, or the n-th system call of the program, fails.
foreach(name fault_learn fault_data fault_sample)
  if(TARGET ${name})
    target_link_options(${name} PRIVATE -Wl,--wrap=aligned_alloc,--wrap=realloc)
  endif()
endforeach()

# A preloaded library gets on with no sanitizer.
if(NOT CMAKE_C_FLAGS MATCHES "-fsanitize")
  add_library(failing_calls MODULE failing_calls.c)
  set_target_properties(failing_calls PROPERTIES C_VISIBILITY_PRESET default)
  target_link_libraries(failing_calls PRIVATE ${CMAKE_DL_LIBS})
  target_compile_options(failing_calls PRIVATE -Wall -Wextra -Werror)
  foreach(command select score kept_select kept_score train convert simulate)
    add_test(NAME fault_${command}_calls COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/fault.sh $<TARGET_FILE:sluice_program>
             $<TARGET_FILE:tool_make> $<TARGET_FILE:failing_calls> ${command})
    set_tests_properties(fault_${command}_calls PROPERTIES TIMEOUT 900)
  endforeach()
endif()
add_test(NAME full_disk COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/full_disk.sh $<TARGET_FILE:sluice_program> $<TARGET_FILE:tool_make>)
set_tests_properties(full_disk PROPERTIES TIMEOUT 300 SKIP_RETURN_CODE 77)
