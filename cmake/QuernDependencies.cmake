# Finds the outside libraries and gives each one an imported target. All that is missing is named at once, with the
# packages that have it. The installed package reads this file too: there, QN_DEPENDENCIES_OPTIONAL is set, and
# QN_MISSING says what a static link would lack.
set(QN_MISSING "")

# qn_dependency(name debian_package fedora_package): the imported target of what find_* has put in the cache.
function(qn_dependency name debian fedora)
  mark_as_advanced(QN_${name}_INCLUDE QN_${name}_LIBRARY)
  if(NOT QN_${name}_INCLUDE OR NOT QN_${name}_LIBRARY)
    set(QN_MISSING ${QN_MISSING} "${name}: ${debian} (Debian, Ubuntu) or ${fedora} (Fedora, RHEL)" PARENT_SCOPE)
  elseif(NOT TARGET Quern::${name})
    add_library(Quern::${name} INTERFACE IMPORTED GLOBAL)
    target_include_directories(Quern::${name} SYSTEM INTERFACE ${QN_${name}_INCLUDE})
    target_link_libraries(Quern::${name} INTERFACE ${QN_${name}_LIBRARY})
  endif()
endfunction()

find_package(MPI QUIET COMPONENTS C)
if(NOT MPI_C_FOUND)
  list(APPEND QN_MISSING "MPI: libopenmpi-dev (Debian, Ubuntu) or openmpi-devel (Fedora, RHEL; its mpicc in PATH)")
endif()

# name, header, library, Debian package, Fedora package
foreach(row "xxhash xxhash.h xxhash libxxhash-dev xxhash-devel"
            "pg_query pg_query.h pg_query libpg-query-dev libpg_query-devel"
            "jansson jansson.h jansson libjansson-dev jansson-devel"
            "zlib zlib.h z zlib1g-dev zlib-devel"
            "bzip2 bzlib.h bz2 libbz2-dev bzip2-devel"
            "zstd zstd.h zstd libzstd-dev libzstd-devel"
            "hwloc hwloc.h hwloc libhwloc-dev hwloc-devel"
            "openblas cblas.h openblas libopenblas-dev openblas-devel"
            "lapacke lapacke.h lapacke liblapacke-dev lapack-devel"
            "protobuf_c protobuf-c/protobuf-c.h protobuf-c libprotobuf-c-dev protobuf-c-devel")
  string(REPLACE " " ";" row ${row})
  list(GET row 0 name)
  list(GET row 1 header)
  list(GET row 2 library)
  list(GET row 3 debian)
  list(GET row 4 fedora)
  find_path(QN_${name}_INCLUDE ${header} PATH_SUFFIXES ${name})
  find_library(QN_${name}_LIBRARY ${library})
  qn_dependency(${name} ${debian} ${fedora})
endforeach()

# Serial HDF5: every rank writes its own part files, so the parallel build is not needed.
find_path(QN_hdf5_INCLUDE hdf5.h PATHS /usr/include/hdf5/serial NO_DEFAULT_PATH)
find_path(QN_hdf5_INCLUDE hdf5.h)
find_library(QN_hdf5_LIBRARY NAMES hdf5_serial hdf5)
qn_dependency(hdf5 libhdf5-dev hdf5-devel)

# ONNX's own description of its files, and what makes C of it: needed to build, not to link.
find_file(QN_onnx_PROTO onnx/onnx.proto PATH_SUFFIXES include)
find_program(QN_PROTOC_C protoc-c)
mark_as_advanced(QN_onnx_PROTO QN_PROTOC_C)
if(NOT QN_onnx_PROTO)
  list(APPEND QN_MISSING "onnx/onnx.proto: libonnx-dev (Debian, Ubuntu) or onnx-devel (Fedora, RHEL)")
endif()
if(NOT QN_PROTOC_C)
  list(APPEND QN_MISSING "protoc-c: protobuf-c-compiler (Debian, Ubuntu) or protobuf-c-compiler (Fedora, RHEL)")
endif()

if(QN_MISSING AND NOT QN_DEPENDENCIES_OPTIONAL)
  list(JOIN QN_MISSING "\n  " missing)
  message(FATAL_ERROR "Not found (scripts/install-packages build installs it):\n  ${missing}")
endif()
if(NOT QN_MISSING AND NOT TARGET Quern::compression)
  add_library(Quern::compression INTERFACE IMPORTED GLOBAL)
  target_link_libraries(Quern::compression INTERFACE Quern::zlib Quern::bzip2 Quern::zstd)
endif()
