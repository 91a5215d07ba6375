# Two strong definitions of one symbol are an error only where the linker sees both: a plug-in's objects and the archive
# of another device never meet on one link line, or meet with one of them not pulled in. So each of GROUPS, archives and
# object files joined by "|", is compared with the others.

cmake_minimum_required(VERSION 3.24)

set(seen "")
set(found "")
foreach(group IN LISTS GROUPS)
  string(REPLACE "|" ";" files "${group}")
  execute_process(COMMAND ${NM} -C --defined-only ${files} OUTPUT_VARIABLE symbols ERROR_QUIET COMMAND_ERROR_IS_FATAL ANY)
  # Code and data; what is weak may be there twice. Brackets would confuse lists.
  string(REGEX MATCHALL "[0-9a-f]+ [TDBR] [^\n]+" strong "${symbols}")
  list(TRANSFORM strong REPLACE "^[0-9a-f]+ [TDBR] " "")
  set(own "")
  foreach(symbol IN LISTS strong)
    # The entry points of plug-ins have one name in all.
    if(symbol MATCHES "^dpm_[a-z_]+$" OR symbol MATCHES "^\\.")
      continue()
    endif()
    if(symbol IN_LIST seen)
      string(APPEND found "\n  ${symbol}")
    endif()
    list(APPEND own "${symbol}")
  endforeach()
  if(own STREQUAL "")
    message(FATAL_ERROR "nm finds no code in a group: ${group}")
  endif()
  list(APPEND seen ${own})
endforeach()
if(found)
  message(FATAL_ERROR "symbols that two devices define:${found}")
endif()
