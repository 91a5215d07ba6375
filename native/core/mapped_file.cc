#include "core/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/error.h"

namespace dpm {
namespace {

struct Descriptor {
  int value;
  ~Descriptor() {
    if (value >= 0) close(value);
  }
};

[[noreturn]] void fail(const std::string& path, const char* what) {
  throw Error(ErrorCode::kFile, "cannot " + std::string(what) + " " + path + ": " + std::strerror(errno));
}

}  // namespace

MappedFile::MappedFile(const std::string& path) : path_(path) {
  const Descriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.value < 0) fail(path, "open");
  struct stat status{};
  if (fstat(file.value, &status) != 0) fail(path, "read the size of");
  size_ = static_cast<std::size_t>(status.st_size);
  if (size_ == 0) return;
  data_ = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.value, 0);
  if (data_ == MAP_FAILED) fail(path, "map");
}

MappedFile::~MappedFile() {
  if (size_ > 0 && data_ != MAP_FAILED) munmap(data_, size_);
}

}  // namespace dpm
