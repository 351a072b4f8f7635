# Headers, libraries, program, pkg-config file and CMake package: find_package(sluice) gives sluice::sluice.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
install(TARGETS sluice_shared EXPORT sluice LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS sluice_static ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS sluice_program RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES include/sluice.h include/sluice_ops.h include/sluice_backend.h include/sluice_ops.def
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
set_target_properties(sluice_shared PROPERTIES EXPORT_NAME sluice)
install(EXPORT sluice NAMESPACE sluice:: FILE sluice-targets.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/sluice)
configure_package_config_file(cmake/sluice-config.cmake.in sluice-config.cmake
                              INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/sluice)
write_basic_package_version_file(sluice-config-version.cmake COMPATIBILITY SameMinorVersion)
# The pkg-config file finds its prefix from where it lies, so that an installed tree can be moved.
string(REGEX REPLACE "[^/]+" ".." SLUICE_UP "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
if(URING_FOUND)
  set(SLUICE_URING_LIB "-luring ")
endif()
configure_file(cmake/sluice.pc.in sluice.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/sluice-config.cmake ${CMAKE_CURRENT_BINARY_DIR}/sluice-config-version.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/sluice)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/sluice.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
