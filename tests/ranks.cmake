# Several processes with one job: by mpirun where the MPI plug-in is built.  The thread sanitizer does not know what orders
# the threads of an MPI library.
if(TARGET sluice_mpi AND NOT CMAKE_C_FLAGS MATCHES "sanitize=thread")
  add_executable(tool_ranks tool_ranks.c)
  target_link_libraries(tool_ranks PRIVATE sluice_flags sluice_static ${SLUICE_DEPS})
  add_test(NAME mpi_comm COMMAND ${CMAKE_CURRENT_LIST_DIR}/mpi.sh $<TARGET_FILE_DIR:sluice_mpi> $<TARGET_FILE:tool_ranks> $<TARGET_FILE:tool_make>)
  add_test(NAME mpi_ranks COMMAND ${CMAKE_CURRENT_LIST_DIR}/ranks.sh $<TARGET_FILE_DIR:sluice_mpi> $<TARGET_FILE:sluice_program> $<TARGET_FILE:tool_make>)
  set_tests_properties(mpi_comm mpi_ranks PROPERTIES TIMEOUT 600)
  # Signals, limits and a task that runs out of memory say nothing of a program that a sanitizer slows down and enlarges.
  if(NOT CMAKE_C_FLAGS MATCHES "sanitize=")
    add_test(NAME slurm COMMAND ${CMAKE_CURRENT_LIST_DIR}/slurm/run.sh $<TARGET_FILE_DIR:sluice_mpi> $<TARGET_FILE:sluice_program> $<TARGET_FILE:tool_make>)
    set_tests_properties(slurm PROPERTIES TIMEOUT 600 SKIP_RETURN_CODE 77) # where Slurm cannot start; the test says why
  endif()
endif()
