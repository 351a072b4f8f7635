# The plug-in libsluice_cuda.so: kernels/*.cu by nvcc, one object a file.  Nothing else of the project needs nvcc, and
# libsluice holds no CUDA symbol: it opens the plug-in at run time (host/core/backends.c).
#
# The commands are spelled out instead of enable_language(CUDA): the flags below decide bits (docs/numerics.md), and the
# same .cu files are C++ sources in tests/simt.
set(SLUICE_CUDA OFF CACHE STRING "build libsluice_cuda.so: ON, AUTO (where nvcc is found) or OFF")
set(SLUICE_CUDA_ARCHITECTURES "80;90;100;120" CACHE STRING
    "compute capabilities to build for, PTX of the last; or native: the GPUs of this machine")
if(NOT SLUICE_CUDA)
  return()
endif()

find_program(SLUICE_NVCC nvcc HINTS $ENV{CUDA_HOME}/bin /usr/local/cuda/bin /opt/cuda/bin)
if(NOT SLUICE_NVCC)
  if(NOT SLUICE_CUDA STREQUAL AUTO)
    message(FATAL_ERROR "SLUICE_CUDA=${SLUICE_CUDA}, but nvcc is neither in PATH nor in CUDA_HOME nor in /usr/local/cuda")
  endif()
  message(STATUS "CUDA plug-in: not built, no nvcc here")
  return()
endif()
execute_process(COMMAND ${SLUICE_NVCC} --version OUTPUT_VARIABLE nvcc_says)
string(REGEX REPLACE ".*release ([0-9.]+).*" "\\1" nvcc_version "${nvcc_says}")
if(nvcc_version VERSION_LESS 12)
  message(FATAL_ERROR "${SLUICE_NVCC} is CUDA ${nvcc_version}, sluice needs 12 or newer")
endif()

# Architectures this nvcc does not know are left out: 100 and 120 came with CUDA 12.8.
set(code "")
if(SLUICE_CUDA_ARCHITECTURES STREQUAL native)
  set(code -arch=native)
  set(built native)
else()
  execute_process(COMMAND ${SLUICE_NVCC} --list-gpu-arch OUTPUT_VARIABLE known)
  set(built "")
  foreach(arch ${SLUICE_CUDA_ARCHITECTURES})
    if(known MATCHES "compute_${arch}\n")
      list(APPEND code -gencode=arch=compute_${arch},code=sm_${arch})
      list(APPEND built ${arch})
    else()
      message(STATUS "CUDA plug-in: without architecture ${arch}, which nvcc ${nvcc_version} does not know")
    endif()
  endforeach()
  if(NOT built)
    message(FATAL_ERROR "nvcc ${nvcc_version} knows none of the architectures ${SLUICE_CUDA_ARCHITECTURES}")
  endif()
  list(GET built -1 last)
  list(APPEND code -gencode=arch=compute_${last},code=compute_${last})
endif()

set(nvcc_flags -std=c++17 -O3 ${code}
    --fmad=false -prec-div=true -prec-sqrt=true -ftz=false
    -Xcompiler=-fPIC,-fvisibility=hidden,-ffp-contract=off,-Wall,-Wextra,-Wno-unknown-pragmas)
if(SLUICE_WERROR)
  list(APPEND nvcc_flags -Werror=all-warnings -Xcompiler=-Werror)
endif()

file(GLOB CU_SOURCES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/kernels/*.cu)
set(cuda_folder ${PROJECT_BINARY_DIR}/cuda)
file(MAKE_DIRECTORY ${cuda_folder})
set(objects "")
foreach(source ${CU_SOURCES})
  get_filename_component(name ${source} NAME_WE)
  set(object ${cuda_folder}/${name}.o)
  add_custom_command(OUTPUT ${object} DEPFILE ${object}.d VERBATIM
    COMMAND ${SLUICE_NVCC} ${nvcc_flags} -I${PROJECT_SOURCE_DIR}/include -I${PROJECT_SOURCE_DIR}/kernels
            -MD -MF ${object}.d -MT ${object} -c ${source} -o ${object}
    DEPENDS ${source} COMMENT "nvcc ${name}.cu")
  list(APPEND objects ${object})
endforeach()

# The runtime is linked in, so that a machine with only the driver can load the plug-in; cuBLAS, cuDNN and NCCL are opened
# at first use.  One symbol is exported.
set(SLUICE_CUDA_PLUGIN ${cuda_folder}/libsluice_cuda.so)
set(map ${PROJECT_SOURCE_DIR}/cmake/cuda.map)
add_custom_command(OUTPUT ${SLUICE_CUDA_PLUGIN} VERBATIM
  COMMAND ${SLUICE_NVCC} -shared -cudart=static ${code} -Xlinker=--version-script=${map},-z,defs,-z,relro,-z,now
          ${objects} -o ${SLUICE_CUDA_PLUGIN}
  DEPENDS ${objects} ${map} COMMENT "nvcc libsluice_cuda.so")
add_custom_target(sluice_cuda ALL DEPENDS ${SLUICE_CUDA_PLUGIN})
install(FILES ${SLUICE_CUDA_PLUGIN} DESTINATION lib/sluice) # where backends.c looks
message(STATUS "CUDA plug-in: nvcc ${nvcc_version}, architectures ${built}")
