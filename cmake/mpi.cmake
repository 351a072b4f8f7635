# The plug-in libsluice_mpi.so, by which processes that mpirun or srun started work together: one file, built with the MPI
# that is found (Open MPI, MPICH), opened at run time (host/dist/comm.c).  libsluice needs no MPI.
set(SLUICE_MPI AUTO CACHE STRING "build libsluice_mpi.so: ON, AUTO (where an MPI compiler is found) or OFF")
if(NOT SLUICE_MPI)
  return()
endif()

find_package(MPI COMPONENTS C QUIET)
if(NOT MPI_C_FOUND)
  if(NOT SLUICE_MPI STREQUAL AUTO)
    message(FATAL_ERROR "SLUICE_MPI=${SLUICE_MPI}, but there is no MPI compiler: install one, or name it with MPI_C_COMPILER")
  endif()
  message(STATUS "MPI plug-in: not built, no MPI compiler here")
  return()
endif()

add_library(sluice_mpi MODULE host/dist/mpi/comm_mpi.c)
set_target_properties(sluice_mpi PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/mpi)
target_link_libraries(sluice_mpi PRIVATE sluice_flags MPI::MPI_C dl)
install(TARGETS sluice_mpi LIBRARY DESTINATION lib/sluice) # where plugin.c looks
message(STATUS "MPI plug-in: MPI ${MPI_C_VERSION}, ${MPI_C_COMPILER}")
