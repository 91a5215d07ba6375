# GoogleTest as installed, or compiled from the sources that Debian's libgtest-dev also brings.
find_package(GTest QUIET)
if(NOT TARGET GTest::gtest_main)
  if(NOT EXISTS /usr/src/googletest/CMakeLists.txt)
    message(FATAL_ERROR "GoogleTest is not installed (Debian: libgtest-dev); scripts/setup installs it")
  endif()
  add_subdirectory(/usr/src/googletest ${PROJECT_BINARY_DIR}/googletest EXCLUDE_FROM_ALL)
  add_library(GTest::gtest_main ALIAS gtest_main)
endif()
