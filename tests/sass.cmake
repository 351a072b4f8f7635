# What nvcc made of the hot kernels, against the claims in their sources; and the checker against planted kernels.
if(NOT SLUICE_CUDA_PLUGIN)
  return()
endif()
find_package(Python3 COMPONENTS Interpreter)
if(NOT Python3_FOUND)
  message(STATUS "no python3: the kernels' disassembly is not examined")
  return()
endif()
set(SASS_TOOLS ${PROJECT_SOURCE_DIR}/build/tools)
add_test(NAME sass COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/sass.py --tools ${SASS_TOOLS}
         ${PROJECT_BINARY_DIR}/cuda ${CU_SOURCES})
add_test(NAME sass_unit COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/sass_unit.py ${SASS_TOOLS} ${SLUICE_NVCC})
set_tests_properties(sass sass_unit PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 300)
