# What `cmake --install` puts where: the library (static and shared), the public headers, the command, the CMake
# package and the pkg-config file that let a job be built outside of this tree, and the jobs to copy.
include(CMakePackageConfigHelpers)
set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/Quern)

# Two sets: who links the shared library needs none of our dependencies, who links the static one needs all.
set_target_properties(quern_shared PROPERTIES EXPORT_NAME quern)
install(TARGETS quern_shared EXPORT QuernShared LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS quern_static EXPORT QuernStatic ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT QuernShared NAMESPACE Quern:: DESTINATION ${package_folder})
install(EXPORT QuernStatic NAMESPACE Quern:: DESTINATION ${package_folder})
configure_package_config_file(cmake/QuernConfig.cmake.in ${PROJECT_BINARY_DIR}/QuernConfig.cmake
                              INSTALL_DESTINATION ${package_folder})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/QuernConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/QuernConfig.cmake ${PROJECT_BINARY_DIR}/QuernConfigVersion.cmake
              cmake/QuernDependencies.cmake DESTINATION ${package_folder})

# pkg-config: --static adds the private part.
set(quern_private_libraries "")
foreach(library IN LISTS MPI_C_LIBRARIES)
  string(APPEND quern_private_libraries " ${library}")
endforeach()
foreach(name hdf5 pg_query jansson xxhash hwloc zlib bzip2 zstd lapacke openblas protobuf_c)
  string(APPEND quern_private_libraries " ${QN_${name}_LIBRARY}")
endforeach()
file(RELATIVE_PATH quern_prefix_from_pc /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" quern_prefix_from_pc "${quern_prefix_from_pc}")
configure_file(cmake/quern.pc.in ${PROJECT_BINARY_DIR}/quern.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/quern.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

install(DIRECTORY include/quern DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(DIRECTORY jobs/ DESTINATION ${CMAKE_INSTALL_DATADIR}/quern/jobs FILES_MATCHING PATTERN "*.c")
if(EXISTS ${PROJECT_SOURCE_DIR}/slurm)
  install(DIRECTORY slurm DESTINATION ${CMAKE_INSTALL_DATADIR}/quern)
endif()
if(TARGET quern)
  install(TARGETS quern RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
