# An inline function that the compiler leaves out of line is merged by the linker: of all its copies one survives. Where
# that is the copy compiled for AVX-512, the program dies on processors without it. So objects compiled for an
# instruction set may hold such functions only in that set's own namespace.

set(found "")
foreach(object IN LISTS OBJECTS)
  execute_process(COMMAND ${NM} -C --defined-only ${object} OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCHALL "[0-9a-f]+ W [^\n]+" merged "${symbols}")
  foreach(symbol IN LISTS merged)
    if(NOT symbol MATCHES "dpm::cpu::isa_")
      string(APPEND found "\n  ${object}: ${symbol}")
    endif()
  endforeach()
endforeach()
if(found)
  message(FATAL_ERROR "shared inline functions in code for one instruction set; make them force-inline or static:${found}")
endif()
