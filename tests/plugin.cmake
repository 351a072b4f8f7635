# The CUDA plug-in as nvcc built it, seen from outside; what its kernels compute is tested on the emulator (simt).
if(SLUICE_CUDA_PLUGIN)
  add_executable(tool_plugin tool_plugin.c)
  target_link_libraries(tool_plugin PRIVATE sluice_flags dl)
  add_test(NAME cuda_plugin COMMAND sh ${CMAKE_CURRENT_LIST_DIR}/plugin.sh ${SLUICE_CUDA_PLUGIN} $<TARGET_FILE:sluice_shared>
           $<TARGET_FILE:tool_plugin>)
endif()
