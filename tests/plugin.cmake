# The CUDA plug-in as nvcc built it, seen from outside; what its kernels compute is tested on the emulator (simt).
if(SLUICE_CUDA_PLUGIN)
  add_executable(tool_plugin tool_plugin.c)
  target_link_libraries(tool_plugin PRIVATE sluice_flags dl)
  add_test(NAME cuda_plugin COMMAND sh ${CMAKE_CURRENT_LIST_DIR}/plugin.sh ${SLUICE_CUDA_PLUGIN} $<TARGET_FILE:sluice_shared>
           $<TARGET_FILE:sluice_program> $<TARGET_FILE:tool_plugin>)
  # What tests/gpu.sh runs on a real card.
  set(GPU_TESTS ${TEST_SOURCES})
  list(TRANSFORM GPU_TESTS REPLACE ".*/([a-z0-9_]+)\\.c" "\\1")
  list(FILTER GPU_TESTS INCLUDE REGEX "^(op_|unit_libraries$|unit_math_fast$)")
  add_custom_target(gpu_tests DEPENDS ${GPU_TESTS} sluice_program sluice_cuda tool_plugin tool_make)
endif()
