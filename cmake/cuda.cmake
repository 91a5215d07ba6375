# The CUDA plug-in: kernels by nvcc, the runtime linked in, cuDNN by its headers only. scripts/setup --cuda brings all of
# them where the system has none; -DDPM_CUDA_ARCHITECTURES says for which cards (each one, and PTX for what comes after the
# first).
#
# A project has one nvcc. So libdpm_cuda12.so, the same plug-in for drivers that are too old for CUDA 13, is a build of its
# own inside of this one, wherever there is an nvcc of CUDA 12: the target dpm_cuda12.

set(DPM_CUDA_MAJOR 13 CACHE STRING "CUDA of the plug-in: 13, or 12 for libdpm_cuda12.so")
# Later cards run the PTX of the first: nvcc knows them from 12.8 on only.
set(DPM_CUDA12_ARCHITECTURES "80;86;89;90" CACHE STRING "compute capabilities of libdpm_cuda12.so")
set(dpm_toolchain ${PROJECT_SOURCE_DIR}/.toolchain)
file(GLOB dpm_cuda12_installed /usr/local/cuda-12*)
list(SORT dpm_cuda12_installed COMPARE NATURAL ORDER DESCENDING)
find_program(dpm_nvcc12 nvcc NO_DEFAULT_PATH PATH_SUFFIXES bin
  PATHS $ENV{DPM_CUDA12_HOME} ${dpm_cuda12_installed} ${dpm_toolchain}/cuda12/nvidia/cuda_nvcc)
# It may be older than the compiler and the C library of this system.
if(dpm_nvcc12 AND NOT dpm_cuda12_compiles)
  file(WRITE ${PROJECT_BINARY_DIR}/cuda12-check.cu "#include <cmath>\n#include <cuda_fp16.h>\n")
  execute_process(RESULT_VARIABLE failure OUTPUT_VARIABLE output ERROR_VARIABLE output
    COMMAND ${dpm_nvcc12} -std=c++20 -c ${PROJECT_BINARY_DIR}/cuda12-check.cu -o ${PROJECT_BINARY_DIR}/cuda12-check.o)
  if(failure)
    message(WARNING "${dpm_nvcc12} does not compile here:\n${output}")
  else()
    set(dpm_cuda12_compiles TRUE CACHE INTERNAL "whether there is an nvcc of CUDA 12 that works")
  endif()
endif()

if(DPM_CUDA_MAJOR EQUAL 12)
  if(NOT dpm_cuda12_compiles)
    message(FATAL_ERROR "There is no nvcc of CUDA 12 that works: scripts/setup --cuda brings one, DPM_CUDA12_HOME names one.")
  endif()
  set(dpm_nvcc ${dpm_nvcc12})
  set(DPM_CUDA_ARCHITECTURES ${DPM_CUDA12_ARCHITECTURES})
  set(dpm_plugin dpm_cuda12)
  cmake_path(GET dpm_nvcc PARENT_PATH dpm_cuda12_bin)
  # No kernel launches others, and the library for that may be newer than this nvcc.
  set(CMAKE_CUDA_FLAGS_INIT "-cudadevrt none")
  find_library(dpm_cudart cudart_static REQUIRED NO_DEFAULT_PATH
    PATHS ${dpm_cuda12_bin}/../lib64 ${dpm_cuda12_bin}/../../cuda_runtime/lib)
else()
  set(DPM_CUDA_ARCHITECTURES "80;86;89;90;100;120" CACHE STRING "compute capabilities without the point")
  set(dpm_plugin dpm_cuda)
  find_program(dpm_nvcc nvcc REQUIRED
    HINTS ${dpm_toolchain}/cuda/nvidia/cu13/bin $ENV{CUDA_HOME}/bin $ENV{CUDA_PATH}/bin /usr/local/cuda/bin)
  find_library(dpm_cudart cudart_static REQUIRED
    HINTS ${dpm_toolchain}/cuda/nvidia/cu13/lib $ENV{CUDA_HOME}/lib64 $ENV{CUDA_PATH}/lib64 /usr/local/cuda/lib64)
endif()
find_path(dpm_cudnn_include cudnn_graph.h REQUIRED
  HINTS ${dpm_toolchain}/cuda/nvidia/cudnn/include $ENV{CUDNN_PATH}/include $ENV{CUDA_HOME}/include
        /usr/local/cuda/include)

set(CMAKE_CUDA_COMPILER ${dpm_nvcc})
# Named below: the plug-in's linker is the C++ compiler.
set(CMAKE_CUDA_RUNTIME_LIBRARY None)
list(GET DPM_CUDA_ARCHITECTURES 0 dpm_oldest)
set(CMAKE_CUDA_ARCHITECTURES ${DPM_CUDA_ARCHITECTURES})
list(TRANSFORM CMAKE_CUDA_ARCHITECTURES APPEND "-real")
list(APPEND CMAKE_CUDA_ARCHITECTURES ${dpm_oldest}-virtual)
enable_language(CUDA)
if(DPM_CUDA_MAJOR EQUAL 12 AND NOT CMAKE_CUDA_COMPILER_VERSION MATCHES "^12\\.")
  message(FATAL_ERROR "${dpm_nvcc} is of CUDA ${CMAKE_CUDA_COMPILER_VERSION}, libdpm_cuda12.so needs one of CUDA 12.")
endif()

# In parts that tests link, too.
file(GLOB dnn_sources CONFIGURE_DEPENDS ${cuda}/dnn/*.cc)
add_library(dpm_cuda_kernels STATIC ${kernel_sources})
add_library(dpm_cuda_runtime STATIC ${cuda_runtime_sources})
add_library(dpm_cuda_dnn STATIC ${dnn_sources} ${product_sources})
foreach(target dpm_cuda_kernels dpm_cuda_runtime dpm_cuda_dnn)
  target_include_directories(${target} PUBLIC ${PROJECT_SOURCE_DIR} ${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES})
  target_link_libraries(${target} PUBLIC dpm_core)
endforeach()

target_compile_options(dpm_cuda_kernels PRIVATE -std=c++20 -Werror all-warnings -Xcompiler=-fvisibility=hidden)
set_target_properties(dpm_cuda_kernels PROPERTIES POSITION_INDEPENDENT_CODE ON)
dpm_target_options(dpm_cuda_runtime)
dpm_target_options(dpm_cuda_dnn)
target_include_directories(dpm_cuda_dnn SYSTEM PUBLIC ${dpm_cudnn_include})
# Nothing of the runtime is loaded: cudart is linked in, and it opens the driver when it is used.
target_link_libraries(dpm_cuda_runtime PUBLIC ${dpm_cudart} Threads::Threads ${CMAKE_DL_LIBS} rt)
target_link_libraries(dpm_cuda_dnn PUBLIC dpm_cuda_runtime)
target_link_libraries(dpm_cuda_kernels PUBLIC dpm_cuda_runtime)

add_library(dpm_cuda MODULE ${cuda_sources})
dpm_loadable_options(dpm_cuda)
set_target_properties(dpm_cuda PROPERTIES PREFIX "lib" OUTPUT_NAME ${dpm_plugin} SUFFIX ${DPM_PLUGIN_SUFFIX})
target_link_libraries(dpm_cuda PRIVATE dpm_cuda_kernels dpm_cuda_dnn)

if(NOT DPM_CUDA_MAJOR EQUAL 12 AND dpm_cuda12_compiles)
  include(ExternalProject)
  list(JOIN DPM_CUDA12_ARCHITECTURES "|" architectures)
  ExternalProject_Add(dpm_cuda12
    SOURCE_DIR ${PROJECT_SOURCE_DIR}
    BINARY_DIR ${PROJECT_BINARY_DIR}/cuda12
    PREFIX ${PROJECT_BINARY_DIR}/cuda12/stamps
    LIST_SEPARATOR "|"
    CMAKE_ARGS
      -DCMAKE_BUILD_TYPE=${CMAKE_BUILD_TYPE} -DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER}
      -DCMAKE_LIBRARY_OUTPUT_DIRECTORY=${CMAKE_LIBRARY_OUTPUT_DIRECTORY} -DDPM_WERROR=${DPM_WERROR}
      -DDPM_CCACHE=${DPM_CCACHE} -DDPM_ADDON=OFF -DDPM_CUDA=ON -DDPM_CUDA_MAJOR=12
      -Ddpm_nvcc12=${dpm_nvcc12} -DDPM_CUDA12_ARCHITECTURES=${architectures}
    BUILD_COMMAND ${CMAKE_COMMAND} --build <BINARY_DIR> --target dpm_cuda
    # Whether there is something to do, the build inside knows.
    BUILD_ALWAYS ON
    INSTALL_COMMAND "")
elseif(NOT DPM_CUDA_MAJOR EQUAL 12)
  message(STATUS "There is no nvcc of CUDA 12 that works: no plug-in for drivers before R580 (libdpm_cuda12.so)")
endif()

if(DPM_TESTS)
  include(googletest)
  # cuDNN's graphs and plans; needs the library, and no card: a stand-in takes the driver's place where there is none.
  enable_language(C)
  add_library(dpm_driver_stub MODULE test/cuda/dnn/driver_stub.c)
  # Under the driver's name, in a folder where nobody else looks.
  set_target_properties(dpm_driver_stub PROPERTIES PREFIX "lib" OUTPUT_NAME cuda SUFFIX ".so.1"
    LIBRARY_OUTPUT_DIRECTORY ${CMAKE_LIBRARY_OUTPUT_DIRECTORY}/driver_stub)
  target_link_options(dpm_driver_stub PRIVATE -Wl,-soname,libcuda.so.1)
  file(GLOB dnn_tests CONFIGURE_DEPENDS test/cuda/dnn/*_test.cc)
  add_executable(dpm_cudnn_tests ${dnn_tests} test/cuda/dnn/network_shapes.cc)
  dpm_target_options(dpm_cudnn_tests)
  target_include_directories(dpm_cudnn_tests PRIVATE test/cuda/dnn)
  target_compile_definitions(dpm_cudnn_tests PRIVATE
    DPM_SOURCE_DIR="${PROJECT_SOURCE_DIR}" DPM_DRIVER_STUB="$<TARGET_FILE:dpm_driver_stub>")
  target_link_libraries(dpm_cudnn_tests PRIVATE dpm_cuda_dnn dpm_cuda_runtime GTest::gtest_main)
  add_dependencies(dpm_cudnn_tests dpm_driver_stub)

  # Lists what cuDNN plans for a card that is only described.
  add_executable(dpm_list_plans test/cuda/dnn/list_plans.cc test/cuda/dnn/network_shapes.cc)
  dpm_target_options(dpm_list_plans)
  target_include_directories(dpm_list_plans PRIVATE test/cuda/dnn)
  target_compile_definitions(dpm_list_plans PRIVATE
    DPM_SOURCE_DIR="${PROJECT_SOURCE_DIR}" DPM_DRIVER_STUB="$<TARGET_FILE:dpm_driver_stub>")
  target_link_libraries(dpm_list_plans PRIVATE dpm_cuda_dnn dpm_cuda_runtime)
  add_dependencies(dpm_list_plans dpm_driver_stub)

  # The tests of kernels and of the device, the same as on the emulation, for a machine with a card.
  file(GLOB device_tests CONFIGURE_DEPENDS test/cuda/*_kernel_test.cc)
  add_executable(dpm_device_tests ${device_tests} test/cuda/device_test.cc test/cuda/derivatives_test.cc
    test/cuda/operations_test.cc test/cuda/sequences_test.cc test/cuda/training_test.cc test/cuda/weight_gradients_test.cc
    test/cuda/device_tests_main.cc test/native/random_graph.cc test/native/evaluate_network.cc
    test/native/evaluate_derivative.cc test/native/known_cases.cc test/native/operation_checks.cc)
  dpm_target_options(dpm_device_tests)
  target_include_directories(dpm_device_tests PRIVATE test/cuda test/native)
  target_link_libraries(dpm_device_tests PRIVATE dpm_operation_cases dpm_cuda_kernels dpm_cuda_runtime GTest::gtest)
  add_dependencies(dpm_device_tests dpm_cuda dpm_reference)

  # Tells what cuDNN plans for.
  add_executable(dpm_describe_card test/cuda/dnn/describe_card.cc)
  dpm_target_options(dpm_describe_card)
  target_link_libraries(dpm_describe_card PRIVATE dpm_cuda_dnn dpm_cuda_runtime)

  # Times what cuDNN plans.
  add_executable(dpm_time_products test/cuda/products/main.cc ${product_timing_sources} cuda/layers/convolution_rest.cc)
  dpm_target_options(dpm_time_products)
  target_include_directories(dpm_time_products PRIVATE test/cuda/products test/cuda/dnn)
  target_link_libraries(dpm_time_products PRIVATE dpm_cuda_dnn dpm_cuda_kernels dpm_cuda_runtime)

  # scripts/gpu-check takes these to machines with another C++ library.
  foreach(target dpm_device_tests dpm_describe_card dpm_time_products)
    target_link_options(${target} PRIVATE -static-libstdc++ -static-libgcc)
  endforeach()
endif()
