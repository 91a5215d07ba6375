# cmake-js says where the Node-API headers are. A plain cmake build asks the installed header packages, so that neither
# way downloads the headers of Node.
if(NOT DEFINED CMAKE_JS_INC)
  execute_process(
    COMMAND node -p "[require('node-api-headers').include_dir, require('node-addon-api').include_dir].join(';')"
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
    OUTPUT_VARIABLE CMAKE_JS_INC
    OUTPUT_STRIP_TRAILING_WHITESPACE
    RESULT_VARIABLE dpm_headers_result)
  if(NOT dpm_headers_result EQUAL 0)
    message(FATAL_ERROR "the Node-API headers are not installed: run npm ci, or configure with -DDPM_ADDON=OFF")
  endif()
  # node-addon-api answers relative to the folder it was asked in.
  list(TRANSFORM CMAKE_JS_INC REPLACE "^([^/].*)$" "${PROJECT_SOURCE_DIR}/\\1")
endif()

# cmake-js brings a library to link to on Windows; without it the addon looks its functions up (windows_node_api.cc.in).
function(dpm_look_up_node_api target)
  set(names)
  foreach(folder IN LISTS CMAKE_JS_INC)
    file(GLOB lists ${folder}/../def/*.def)
    foreach(list IN LISTS lists)
      file(STRINGS ${list} found REGEX "^(napi|node_api)_[a-z0-9_]+$")
      list(APPEND names ${found})
    endforeach()
  endforeach()
  list(REMOVE_DUPLICATES names)
  if(NOT names)
    message(FATAL_ERROR "node-api-headers has no list of Node-API's functions in ${CMAKE_JS_INC}")
  endif()
  list(TRANSFORM names REPLACE "^.+$" "DPM_FUNCTION(\\0)" OUTPUT_VARIABLE functions)
  list(TRANSFORM names REPLACE "^.+$" "    {\"\\0\", \&dpm_\\0}," OUTPUT_VARIABLE table)
  list(JOIN functions "\n" functions)
  list(JOIN table "\n" table)
  set(source ${PROJECT_BINARY_DIR}/windows_node_api.cc)
  configure_file(${PROJECT_SOURCE_DIR}/cmake/windows_node_api.cc.in ${source} @ONLY)
  target_sources(${target} PRIVATE ${source})
  # Nothing is imported.
  target_compile_definitions(${target} PRIVATE NAPI_EXTERN=)
endfunction()

function(dpm_add_node_addon target)
  add_library(${target} MODULE ${ARGN} ${CMAKE_JS_SRC})
  dpm_loadable_options(${target})
  set_target_properties(${target} PROPERTIES
    PREFIX "" SUFFIX ".node" BUILD_RPATH "$ORIGIN" INSTALL_RPATH "$ORIGIN")
  target_include_directories(${target} SYSTEM PRIVATE ${CMAKE_JS_INC})
  # Node-API 8 is what every supported Node has; an exception thrown while the environment shuts down is dropped.
  target_compile_definitions(${target} PRIVATE
    NAPI_VERSION=8 NAPI_CPP_EXCEPTIONS NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS)
  target_link_libraries(${target} PRIVATE ${CMAKE_JS_LIB})
  if(APPLE)
    target_link_options(${target} PRIVATE -undefined dynamic_lookup)
  elseif(WIN32 AND NOT CMAKE_JS_LIB)
    dpm_look_up_node_api(${target})
  endif()
endfunction()
