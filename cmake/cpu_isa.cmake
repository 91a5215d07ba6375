# The kernels of native/devices/cpu/isa are compiled once per instruction set; each copy lives in its own namespace.

if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  set(dpm_isas avx512 avx2 sse2)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  set(dpm_isas neon)
else()
  message(FATAL_ERROR "no kernels for ${CMAKE_SYSTEM_PROCESSOR}: see native/devices/cpu/isa/vector.h")
endif()
set(dpm_isa_flags_avx512 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma)
set(dpm_isa_flags_avx2 -mavx2 -mfma)
set(dpm_isa_flags_sse2)
set(dpm_isa_flags_neon)

set(dpm_isa_warnings)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # gcc bug 105593: false alarms from the compiler's own AVX-512 headers.
  set(dpm_isa_warnings -Wno-maybe-uninitialized)
endif()

function(dpm_add_isa_kernels target)
  set(objects)
  # Weights are the same numbers for every instruction set.
  set(exact ${ARGN})
  list(FILTER exact INCLUDE REGEX "/winograd_weights\\.cc$")
  set_source_files_properties(${exact} PROPERTIES COMPILE_OPTIONS "-ffp-contract=off")
  foreach(isa IN LISTS dpm_isas)
    set(library ${target}_${isa})
    add_library(${library} OBJECT ${ARGN})
    dpm_target_options(${library})
    target_include_directories(${library} PRIVATE ${PROJECT_SOURCE_DIR}/native)
    target_compile_definitions(${library} PRIVATE DPM_ISA=${isa})
    # In every configuration: without optimisation these kernels are too slow even to be tested.
    target_compile_options(${library} PRIVATE
      ${dpm_isa_flags_${isa}} -O3 -ffp-contract=fast -fno-math-errno -fno-trapping-math)
    target_compile_options(${library} PRIVATE ${dpm_isa_warnings})
    if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
      # Loops that sanitizers instrument stay scalar, whatever is asked of them.
      target_compile_options(${library} PRIVATE -Wno-pass-failed)
    endif()
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:${library}>)
    list(APPEND objects $<TARGET_OBJECTS:${library}>)
  endforeach()

  if(CMAKE_NM AND CMAKE_SYSTEM_NAME STREQUAL "Linux" AND NOT dpm_sanitizers AND NOT DPM_COVERAGE)
    add_custom_command(TARGET ${target} POST_BUILD VERBATIM
      COMMAND ${CMAKE_COMMAND} -DNM=${CMAKE_NM} "-DOBJECTS=$<JOIN:${objects},;>"
              -P ${PROJECT_SOURCE_DIR}/cmake/check_isa_symbols.cmake)
  endif()
endfunction()

# Kernels that need instructions beyond AVX-512: each file of `folder` is compiled once.
function(dpm_add_bf16_kernels target folder)
  if(NOT "avx512" IN_LIST dpm_isas)
    return()
  endif()
  file(GLOB sources CONFIGURE_DEPENDS ${folder}/*.cc)
  target_sources(${target} PRIVATE ${sources})
  set(flags ${dpm_isa_flags_avx512} -mavx512bf16 -mamx-tile -mamx-bf16 -O3 ${dpm_isa_warnings})
  set_source_files_properties(${sources} PROPERTIES COMPILE_OPTIONS "${flags}")
endfunction()
