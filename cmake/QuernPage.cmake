# Puts the files that the page of `quern report` is made of into src/report/page_files.c: ours, and the JavaScript that
# scripts/install-packages has fetched into build/page. Without that the page has tables and no charts.
set(folder ${PROJECT_SOURCE_DIR}/src/report/page)
file(GLOB files CONFIGURE_DEPENDS ${folder}/*)
set(source ${PROJECT_SOURCE_DIR}/src/report/page_files.c)
set_property(SOURCE ${source} APPEND PROPERTY OBJECT_DEPENDS ${files})
set_property(SOURCE ${source} APPEND PROPERTY COMPILE_DEFINITIONS QN_PAGE_FOLDER="${folder}")

# The glob is looked at again by every build, so that what is fetched later is found.
file(GLOB fetched CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/build/page/*.js)
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/empty/library.js CONTENT "")
foreach(name echarts dagre)
  set(library ${PROJECT_SOURCE_DIR}/build/page/${name}.js)
  if(NOT library IN_LIST fetched)
    message(STATUS "No build/page/${name}.js: `quern report` makes pages without charts (scripts/install-packages build)")
    set(library ${PROJECT_BINARY_DIR}/empty/library.js)
  endif()
  string(TOUPPER ${name} upper)
  set_property(SOURCE ${source} APPEND PROPERTY OBJECT_DEPENDS ${library})
  set_property(SOURCE ${source} APPEND PROPERTY COMPILE_DEFINITIONS QN_PAGE_${upper}="${library}")
endforeach()
