# C for ONNX's files, made from its own description of them when CMake runs (so that tools find the header without a
# build), and compiled into the layer ml. It is not ours: no warnings.
set(onnx_folder ${PROJECT_BINARY_DIR}/onnx)
set(onnx_source ${onnx_folder}/onnx.pb-c.c)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${QN_onnx_PROTO})
if(NOT EXISTS ${onnx_source} OR ${QN_onnx_PROTO} IS_NEWER_THAN ${onnx_source})
  file(MAKE_DIRECTORY ${onnx_folder})
  get_filename_component(onnx_proto_folder ${QN_onnx_PROTO} DIRECTORY)
  execute_process(COMMAND ${QN_PROTOC_C} -I${onnx_proto_folder} --c_out=${onnx_folder} ${QN_onnx_PROTO}
                  RESULT_VARIABLE onnx_failed)
  if(onnx_failed)
    message(FATAL_ERROR "${QN_PROTOC_C} could not make C of ${QN_onnx_PROTO}")
  endif()
endif()
set_source_files_properties(${onnx_source} PROPERTIES COMPILE_OPTIONS -w)
target_sources(qn_ml PRIVATE ${onnx_source})
target_include_directories(qn_ml SYSTEM PRIVATE ${onnx_folder})
