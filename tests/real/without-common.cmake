# Read by CMake when llama.cpp begins (CMAKE_PROJECT_llama.cpp_INCLUDE): the library of its command-line programs is half of
# what there is to compile, and the Python package loads none of it.
set(LLAMA_BUILD_COMMON OFF)
