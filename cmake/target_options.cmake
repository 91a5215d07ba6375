# What every target of ours is compiled with. No -m flags here: only the kernels of native/devices/cpu/isa may use more than the
# baseline instruction set, and they are chosen at run time.

set(DPM_SANITIZE "" CACHE STRING "Sanitizers of the build: 'address;undefined', 'thread' or empty")
option(DPM_COVERAGE "Count executed lines" OFF)
# On for those who work on the code, off for those who compile the published package with a compiler of the future.
if(EXISTS ${PROJECT_SOURCE_DIR}/test)
  set(dpm_is_checkout ON)
else()
  set(dpm_is_checkout OFF)
endif()
option(DPM_WERROR "Warnings are errors" ${dpm_is_checkout})

list(JOIN DPM_SANITIZE "," dpm_sanitizers)

function(dpm_target_options target)
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_compile_options(${target} PRIVATE -Wall -Wextra $<$<BOOL:${DPM_WERROR}>:-Werror>)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    # gcc bug 105329: a false alarm in std::string's operator+.
    target_compile_options(${target} PRIVATE -Wno-restrict)
  endif()
  set_target_properties(${target} PROPERTIES
    CXX_EXTENSIONS OFF
    POSITION_INDEPENDENT_CODE ON
    CXX_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON)
  if(dpm_sanitizers)
    # -g1: a report needs functions and lines, not variables, which cost a third of the time to compile.
    target_compile_options(${target} PRIVATE
      -fsanitize=${dpm_sanitizers} -fno-sanitize-recover=all -fno-omit-frame-pointer -g1)
    target_link_options(${target} PUBLIC -fsanitize=${dpm_sanitizers})
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
      # Instrumentation hides from gcc's flow analysis what it would otherwise see.
      target_compile_options(${target} PRIVATE -Wno-maybe-uninitialized)
    endif()
  endif()
  if(DPM_FUZZ)
    target_compile_options(${target} PRIVATE -fsanitize=fuzzer-no-link)
  endif()
  if(DPM_COVERAGE)
    target_compile_options(${target} PRIVATE --coverage -g)
    target_link_options(${target} PUBLIC --coverage)
  endif()
endfunction()

# What is loaded into a process that has a C++ library of its own: brings its own copy and exports nothing of it.
function(dpm_loadable_options target)
  dpm_target_options(${target})
  if(DPM_ZIG_TARGET)
    # Its C++ library is always linked in, and hidden as it was compiled, but for `new` and `delete`.
    target_link_options(${target} PRIVATE -s)
    if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
      target_link_options(${target} PRIVATE -Wl,--version-script=${PROJECT_SOURCE_DIR}/cmake/exports.map)
    endif()
  elseif(CMAKE_SYSTEM_NAME STREQUAL "Linux")
    target_link_options(${target} PRIVATE -Wl,--exclude-libs,ALL -Wl,--gc-sections)
    if(NOT dpm_sanitizers)
      target_link_options(${target} PRIVATE -static-libstdc++ -static-libgcc)
    endif()
  endif()
endfunction()
