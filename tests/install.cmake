# The installed library, seen from outside.  Not under the sanitizers: the consumers are plain programs.
if(NOT CMAKE_C_FLAGS MATCHES "sanitize")
  find_program(SLUICE_CXX NAMES c++ g++ clang++)
  if(SLUICE_CXX)
    add_test(NAME install COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/install/run.sh ${PROJECT_BINARY_DIR} ${PROJECT_SOURCE_DIR}
             ${CMAKE_C_COMPILER} ${SLUICE_CXX})
  endif()
endif()
