# A small language for the build: qn_layer() declares a folder of src/, qn_library() the product, qn_program() a
# program, qn_test() and qn_mpi_test() the tests of a layer. A layer sees the headers of its DEPENDS only as "layer/name.h".

set(CMAKE_INSTALL_RPATH_USE_LINK_PATH ON) # libraries outside of the system's folders, as on clusters, are found again
set(QN_WARNINGS -ffp-contract=off -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wmissing-prototypes
    -Wstrict-prototypes -Werror)
set(QN_SANITIZE_FLAGS -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)

function(qn_compile_options target)
  target_compile_options(${target} PRIVATE ${QN_WARNINGS})
  target_compile_definitions(${target} PRIVATE _GNU_SOURCE QN_VERSION="${PROJECT_VERSION}")
  if(QN_SANITIZE)
    target_compile_options(${target} PRIVATE ${QN_SANITIZE_FLAGS})
    target_link_options(${target} PRIVATE ${QN_SANITIZE_FLAGS})
  endif()
endfunction()

# qn_layer(name LEVEL n [DEPENDS layers...] [LIBRARIES targets...]): all sources of src/<name>/.
function(qn_layer name)
  cmake_parse_arguments(ARG "" "LEVEL" "DEPENDS;LIBRARIES" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/*.c)
  if(NOT sources) # a layer of headers only; an object library must have a source
    set(sources ${PROJECT_BINARY_DIR}/empty/${name}.c)
    file(CONFIGURE OUTPUT ${sources} CONTENT "")
  endif()
  add_library(qn_${name} OBJECT ${sources})
  target_include_directories(qn_${name} PUBLIC ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(qn_${name} PUBLIC ${ARG_LIBRARIES})
  qn_compile_options(qn_${name})
  set_property(GLOBAL PROPERTY QN_${name}_DEPENDS ${ARG_DEPENDS})
  set_property(GLOBAL PROPERTY QN_${name}_LIBRARIES ${ARG_LIBRARIES})
endfunction()

# Links the objects of a layer, of all layers below it that it depends on, and their libraries into target.
function(qn_link_layers target)
  foreach(layer IN LISTS ARGN)
    get_property(libraries GLOBAL PROPERTY QN_${layer}_LIBRARIES)
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:qn_${layer}>)
    target_link_libraries(${target} PRIVATE ${libraries})
  endforeach()
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
endfunction()

# The library, static and shared, of all the layers.
function(qn_library name)
  cmake_parse_arguments(ARG "" "" "LAYERS" ${ARGN})
  foreach(kind STATIC SHARED)
    string(TOLOWER ${kind} suffix)
    add_library(${name}_${suffix} ${kind})
    qn_link_layers(${name}_${suffix} ${ARG_LAYERS})
    qn_compile_options(${name}_${suffix})
    set_target_properties(${name}_${suffix} PROPERTIES OUTPUT_NAME ${name} VERSION ${PROJECT_VERSION}
                          SOVERSION ${PROJECT_VERSION_MAJOR} LINKER_LANGUAGE C)
    target_include_directories(${name}_${suffix} INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
                               $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  endforeach()
endfunction()

# Under the sanitizers a program keeps the libraries that MPI loads, so that leaks can be told apart by their names.
function(qn_keep_libraries program)
  if(QN_SANITIZE)
    target_sources(${program} PRIVATE ${PROJECT_SOURCE_DIR}/tests/kit/keep_libraries.c)
  endif()
endfunction()

# A program against the static library and the public headers only.
function(qn_program name folder)
  add_executable(${name} ${ARGN})
  target_link_libraries(${name} PRIVATE quern_static m)
  # A job that trains nothing does not load BLAS, whose threads take time and memory to start.
  target_link_options(${name} PRIVATE -Wl,--as-needed)
  qn_compile_options(${name})
  qn_keep_libraries(${name})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/${folder})
endfunction()

# A test program of tests/<layer>/<name>.c with the test kit, its layer and what the layer depends on.
function(qn_test_program layer name)
  get_property(depends GLOBAL PROPERTY QN_${layer}_DEPENDS)
  add_executable(${name} ${CMAKE_CURRENT_SOURCE_DIR}/${name}.c ${PROJECT_SOURCE_DIR}/tests/kit/kit.c)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  qn_link_layers(${name} ${depends} ${layer})
  qn_compile_options(${name})
  qn_keep_libraries(${name})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
endfunction()

# What the sanitizers are told when ctest runs a program built with them. Nothing without QN_SANITIZE.
function(qn_sanitize_environment test)
  if(QN_SANITIZE)
    set_property(TEST ${test} APPEND PROPERTY ENVIRONMENT
                 "ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:allocator_may_return_null=1"
                 "LSAN_OPTIONS=suppressions='${PROJECT_SOURCE_DIR}/tests/lsan.supp':print_suppressions=0"
                 "UBSAN_OPTIONS=print_stacktrace=1")
  endif()
endfunction()

# qn_python_test(test file seconds label): a program of the folder that starts jobs itself, by the Python of
# tests/requirements.txt.
function(qn_python_test test file seconds label)
  add_test(NAME ${test} COMMAND ${PROJECT_SOURCE_DIR}/scripts/python ${CMAKE_CURRENT_SOURCE_DIR}/${file})
  set_tests_properties(${test} PROPERTIES TIMEOUT ${seconds} LABELS ${label} PROCESSORS 2
                       ENVIRONMENT "QN_BUILD=${PROJECT_BINARY_DIR};QN_MPIEXEC=${MPIEXEC_EXECUTABLE}")
  if(QN_SANITIZE)
    set_property(TEST ${test} APPEND PROPERTY ENVIRONMENT "QN_SANITIZE=1")
  endif()
  qn_sanitize_environment(${test})
endfunction()

# qn_test(layer name): one process, label unit.
function(qn_test layer name)
  qn_test_program(${layer} ${name})
  add_test(NAME ${layer}/${name} COMMAND ${name})
  set_tests_properties(${layer}/${name} PROPERTIES TIMEOUT 120 LABELS unit)
  qn_sanitize_environment(${layer}/${name})
endfunction()

# qn_mpi_test(layer name RANKS 1 2 3 ...): run by mpirun once for each number of ranks, label mpi.
function(qn_mpi_test layer name)
  cmake_parse_arguments(ARG "" "" "RANKS" ${ARGN})
  qn_test_program(${layer} ${name})
  foreach(ranks IN LISTS ARG_RANKS)
    add_test(NAME ${layer}/${name}@${ranks}
             COMMAND ${PROJECT_SOURCE_DIR}/scripts/mpirun -n ${ranks} $<TARGET_FILE:${name}>)
    set_tests_properties(${layer}/${name}@${ranks} PROPERTIES TIMEOUT 120 LABELS mpi PROCESSORS 2
                         ENVIRONMENT "QN_MPIEXEC=${MPIEXEC_EXECUTABLE}")
    qn_sanitize_environment(${layer}/${name}@${ranks})
  endforeach()
endfunction()
