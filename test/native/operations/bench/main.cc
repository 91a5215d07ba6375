// A program that times the large cases of the table of operations: operations/bench.h.
#include <exception>
#include <iostream>

#include "operations/bench.h"

int main(int count, char** arguments) {
  try {
    dpm::test::bench({arguments + 1, arguments + count}, std::cout);
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
  return 0;
}
