# Compiles through ccache where there is one; `scripts/setup --dev` brings it. The cache is the user's (ccache's default
# folder, or $CCACHE_DIR), so that a fresh clone finds what another one compiled. What it gives is keyed by the compiler, its
# options and the contents of every file read: an old cache costs misses, never wrong objects.

option(DPM_CCACHE "Compile through ccache where it is installed" ${dpm_is_checkout})

find_program(dpm_ccache ccache)
mark_as_advanced(dpm_ccache)
if(DPM_CCACHE AND dpm_ccache)
  # Zig's programs are made anew in every build folder (zig.cmake), with its version in them.
  set(dpm_compiler_check)
  if(DPM_ZIG_TARGET)
    set(dpm_compiler_check CCACHE_COMPILERCHECK=content)
  endif()
  foreach(language CXX CUDA)
    if(NOT CMAKE_${language}_COMPILER_LAUNCHER)
      # Relative to the checkout, so that the copy of scripts/check-package and other clones find the same entries. With symbols
      # the folder counts too unless it is told not to: reports then name files relative to the build.
      set(CMAKE_${language}_COMPILER_LAUNCHER
        ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${dpm_compiler_check} ${dpm_ccache})
    endif()
  endforeach()
endif()
