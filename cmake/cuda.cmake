# The CUDA plug-in: kernels by nvcc, the runtime linked in, cuDNN by its headers only. scripts/setup --cuda brings all of
# them where the system has none; -DDPM_CUDA_ARCHITECTURES says for which cards (each one, and PTX for what comes after the
# first).

set(DPM_CUDA_ARCHITECTURES "80;86;89;90;100;120" CACHE STRING "compute capabilities without the point")
set(dpm_cuda_wheels ${PROJECT_SOURCE_DIR}/.toolchain/cuda/nvidia)
find_program(dpm_nvcc nvcc HINTS ${dpm_cuda_wheels}/cu13/bin $ENV{CUDA_HOME}/bin $ENV{CUDA_PATH}/bin /usr/local/cuda/bin
  REQUIRED)
find_path(dpm_cudnn_include cudnn_graph.h REQUIRED
  HINTS ${dpm_cuda_wheels}/cudnn/include $ENV{CUDNN_PATH}/include $ENV{CUDA_HOME}/include /usr/local/cuda/include)

set(CMAKE_CUDA_COMPILER ${dpm_nvcc})
set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
list(GET DPM_CUDA_ARCHITECTURES 0 dpm_oldest)
set(CMAKE_CUDA_ARCHITECTURES ${DPM_CUDA_ARCHITECTURES})
list(TRANSFORM CMAKE_CUDA_ARCHITECTURES APPEND "-real")
list(APPEND CMAKE_CUDA_ARCHITECTURES ${dpm_oldest}-virtual)
enable_language(CUDA)

# Everything but the entry point, for the plug-in and for tests.
file(GLOB dnn_sources CONFIGURE_DEPENDS ${cuda}/dnn/*.cc)
add_library(dpm_cuda_kernels STATIC ${kernel_sources})
add_library(dpm_cuda_dnn STATIC ${dnn_sources} ${product_sources})
foreach(target dpm_cuda_kernels dpm_cuda_dnn)
  target_include_directories(${target} PUBLIC ${PROJECT_SOURCE_DIR} ${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES})
  target_link_libraries(${target} PUBLIC dpm_core)
endforeach()

target_compile_options(dpm_cuda_kernels PRIVATE -std=c++20 -Werror all-warnings -Xcompiler=-fvisibility=hidden)
set_target_properties(dpm_cuda_kernels PROPERTIES POSITION_INDEPENDENT_CODE ON)
dpm_target_options(dpm_cuda_dnn)
target_include_directories(dpm_cuda_dnn SYSTEM PUBLIC ${dpm_cudnn_include})

add_library(dpm_cuda MODULE ${cuda_sources})
dpm_loadable_options(dpm_cuda)
set_target_properties(dpm_cuda PROPERTIES PREFIX "lib" SUFFIX ".so")
target_link_libraries(dpm_cuda PRIVATE dpm_cuda_kernels dpm_cuda_dnn)
