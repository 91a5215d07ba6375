# A toolchain file that builds for any system with the compiler of the PyPI package `ziglang`, which brings the headers and
# libraries of all of them; scripts/prebuild-all uses it. `zig` is looked for in $PATH. -DDPM_ZIG_TARGET names the system as zig
# does, such as aarch64-linux-gnu.2.28.

list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES DPM_ZIG_TARGET)
if(NOT DPM_ZIG_TARGET MATCHES "^(x86_64|aarch64)-(linux|macos|windows)")
  message(FATAL_ERROR "there are no kernels or no platform for DPM_ZIG_TARGET: ${DPM_ZIG_TARGET}")
endif()
set(CMAKE_SYSTEM_PROCESSOR ${CMAKE_MATCH_1})
set(dpm_names_linux Linux)
set(dpm_names_macos Darwin)
set(dpm_names_windows Windows)
set(CMAKE_SYSTEM_NAME ${dpm_names_${CMAKE_MATCH_2}})

# Zig is one program. What calls compilers wants one for each tool, and ccache tells them apart by what is written in them.
execute_process(COMMAND zig version OUTPUT_VARIABLE dpm_zig_version OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
set(dpm_zig_tools ${CMAKE_BINARY_DIR}/zig)
foreach(tool "clang cc" "clang++ c++" ar ranlib "windres rc")
  string(REGEX MATCH "^[^ ]+" name "${tool}")
  string(REGEX MATCH "[^ ]+$" command "${tool}")
  file(CONFIGURE OUTPUT ${dpm_zig_tools}/${name} @ONLY CONTENT "#!/bin/sh\n# zig @dpm_zig_version@\nexec zig @command@ \"$@\"\n")
  file(CHMOD ${dpm_zig_tools}/${name} PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE)
endforeach()
set(CMAKE_C_COMPILER ${dpm_zig_tools}/clang)
set(CMAKE_CXX_COMPILER ${dpm_zig_tools}/clang++)
set(CMAKE_RC_COMPILER ${dpm_zig_tools}/windres)
set(CMAKE_AR ${dpm_zig_tools}/ar)
set(CMAKE_RANLIB ${dpm_zig_tools}/ranlib)
set(CMAKE_C_COMPILER_TARGET ${DPM_ZIG_TARGET})
set(CMAKE_CXX_COMPILER_TARGET ${DPM_ZIG_TARGET})

if(DPM_ZIG_TARGET MATCHES "musl")
  set(DPM_PLUGIN_SUFFIX .musl.so CACHE STRING "How files of plug-ins end")
endif()

# Nothing that this machine has is of the system that is built for.
foreach(kind LIBRARY INCLUDE PACKAGE)
  set(CMAKE_FIND_ROOT_PATH_MODE_${kind} ONLY)
endforeach()

# Read once more after what CMake knows of the system: zig makes no bundles.
set(CMAKE_USER_MAKE_RULES_OVERRIDE ${CMAKE_CURRENT_LIST_FILE})
if(CMAKE_SYSTEM_NAME STREQUAL "Darwin")
  set(CMAKE_SHARED_MODULE_CREATE_CXX_FLAGS "-shared")
endif()
