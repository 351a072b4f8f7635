# fault.cmake - tests in which the n-th allocation of the library fails.
if(TARGET fault_learn)
  target_link_options(fault_learn PRIVATE -Wl,--wrap=aligned_alloc,--wrap=realloc)
endif()
