# fault.cmake - tests in which the n-th allocation of the library fails.
foreach(name fault_learn fault_data fault_sample)
  if(TARGET ${name})
    target_link_options(${name} PRIVATE -Wl,--wrap=aligned_alloc,--wrap=realloc)
  endif()
endforeach()
