# What the numerics contract asks of compilers: lanes.h in every tier, no fused a*b + c, headers for C, C++ and CUDA.
foreach(tier ${TIERS})
  add_library(lanes_${tier} OBJECT lanes_tier.c)
  target_link_libraries(lanes_${tier} PRIVATE sluice_flags)
  target_compile_options(lanes_${tier} PRIVATE ${TIER_FLAGS_${tier}})
  target_sources(unit_lanes PRIVATE $<TARGET_OBJECTS:lanes_${tier}>)
  target_compile_definitions(unit_lanes PRIVATE LANES_${tier})
  add_test(NAME fp_contract_${tier} COMMAND sh ${CMAKE_CURRENT_SOURCE_DIR}/fp_contract.sh
           ${CMAKE_C_COMPILER} -O3 -ffp-contract=off ${TIER_FLAGS_${tier}})
endforeach()
add_test(NAME fp_contract_all COMMAND sh ${CMAKE_CURRENT_SOURCE_DIR}/fp_contract.sh
         --all ${CMAKE_BINARY_DIR}/compile_commands.json)
add_test(NAME headers COMMAND sh ${CMAKE_CURRENT_SOURCE_DIR}/headers.sh ${PROJECT_SOURCE_DIR}/kernels ${CMAKE_C_COMPILER})
