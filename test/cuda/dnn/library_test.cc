#include "cuda/dnn/library.h"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>

#include "real_cudnn.h"
#include "temporary_folder.h"

namespace dpm::cuda {
namespace {

Environment fake_environment(std::map<std::string, std::string> values) {
  return [values = std::move(values)](const std::string& name) {
    const auto found = values.find(name);
    return found == values.end() ? std::string() : found->second;
  };
}

void touch(const std::filesystem::path& path) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path) << "x";
}

std::vector<std::string> names(const std::vector<CudnnPlace>& places) {
  std::vector<std::string> result;
  for (const CudnnPlace& place : places) result.push_back(place.source + " " + place.name);
  return result;
}

std::size_t reported_version = 0;
std::size_t fake_version() { return reported_version; }
std::size_t reported_cudart = 13000;
std::size_t fake_cudart() { return reported_cudart; }
void fake_call() {}

constexpr int kDriver = 13000;

const std::vector<std::string> kCompanions{"libcublasLt.so.13", "libnvrtc.so.13"};

/// A loader that opens only `accepted` and records every attempt.
struct FakeLoader {
  std::string accepted;
  std::string missing_symbol;
  std::vector<std::string> opened;
  std::vector<int> flags;
  /// Further names that it opens.
  std::vector<std::string> companions;
  std::string folder;
  std::vector<std::string> opened_apart{};
  int closed = 0;
  bool opens_apart = true;

  Loader loader() {
    Loader result;
    result.open = [this](const std::string& name, int flag, std::string* error) -> void* {
      if (std::find(companions.begin(), companions.end(), name) != companions.end()) return this;
      opened.push_back(name);
      flags.push_back(flag);
      if (name == accepted && (flag & RTLD_NOLOAD) == 0) return this;
      *error = "refused";
      return nullptr;
    };
    result.open_apart = [this](const std::string& name) -> void* {
      opened_apart.push_back(name);
      return name == accepted && opens_apart ? this : nullptr;
    };
    result.close = [this](void*) { ++closed; };
    result.symbol = [this](void*, const char* name) -> void* {
      if (missing_symbol == name) return nullptr;
      if (std::strcmp(name, "cudnnGetVersion") == 0) return reinterpret_cast<void*>(&fake_version);
      if (std::strcmp(name, "cudnnGetCudartVersion") == 0) return reinterpret_cast<void*>(&fake_cudart);
      return reinterpret_cast<void*>(&fake_call);
    };
    result.folder = [this](void*) { return folder; };
    return result;
  }
};

TEST(CudnnPlaces, WithoutVariablesOnlyTheLoaderIsAsked) {
  const std::vector<std::string> expected{"already loaded libcudnn.so.9", "system loader libcudnn.so.9"};
  EXPECT_EQ(names(cudnn_places(fake_environment({}))), expected);
  EXPECT_EQ(cudnn_places(fake_environment({})).front().flags, RTLD_NOLOAD);
}

TEST(CudnnPlaces, ComeInTheDocumentedOrder) {
  const TemporaryFolder folder;
  const std::string root = folder.path();
  touch(root + "/venv/lib/python3.11/x");
  touch(root + "/venv/lib/python3.9/x");
  touch(root + "/venv/lib/perl5/x");
  const auto places = cudnn_places(fake_environment({{"DPM_CUDNN_PATH", root},
                                                     {"CUDNN_PATH", "/c"},
                                                     {"CUDA_HOME", "/h"},
                                                     {"CUDA_PATH", "/p"},
                                                     {"VIRTUAL_ENV", root + "/venv"},
                                                     {"CONDA_PREFIX", "/absent"}}));
  const std::vector<std::string> expected{
      "DPM_CUDNN_PATH " + root + "/libcudnn.so.9",
      "already loaded libcudnn.so.9",
      "CUDNN_PATH /c/lib/libcudnn.so.9",
      "CUDA_HOME /h/lib64/libcudnn.so.9",
      "CUDA_HOME /h/lib/libcudnn.so.9",
      "CUDA_PATH /p/lib64/libcudnn.so.9",
      "CUDA_PATH /p/lib/libcudnn.so.9",
      "VIRTUAL_ENV " + root + "/venv/lib/libcudnn.so.9",
      "VIRTUAL_ENV " + root + "/venv/lib/python3.11/site-packages/nvidia/cudnn/lib/libcudnn.so.9",
      "VIRTUAL_ENV " + root + "/venv/lib/python3.9/site-packages/nvidia/cudnn/lib/libcudnn.so.9",
      "CONDA_PREFIX /absent/lib/libcudnn.so.9",
      "system loader libcudnn.so.9",
  };
  EXPECT_EQ(names(places), expected);
}

TEST(CudnnPlaces, TheOwnVariableMayNameTheFile) {
  const auto places = cudnn_places(fake_environment({{"DPM_CUDNN_PATH", "/some/where/libcudnn.so.9.1"}}));
  EXPECT_EQ(places.front().name, "/some/where/libcudnn.so.9.1");
  EXPECT_EQ(places.front().folder, "/some/where");
}

TEST(OpenCudnn, OpensThePartsOfAFolderFirst) {
  const TemporaryFolder folder;
  touch(folder.path() + "/libcudnn.so.9");
  touch(folder.path() + "/libcudnn_ops.so.9");
  touch(folder.path() + "/libcudnn_graph.so.9");
  FakeLoader fake{folder.path() + "/libcudnn.so.9", "", {}, {}, kCompanions, ""};
  reported_version = 90100;
  CudnnLibrary library;
  std::string reason;
  ASSERT_TRUE(
      open_cudnn(fake_environment({{"DPM_CUDNN_PATH", folder.path()}}), fake.loader(), kDriver, &library, &reason));
  const std::vector<std::string> expected{folder.path() + "/libcudnn_graph.so.9", folder.path() + "/libcudnn_ops.so.9",
                                          folder.path() + "/libcudnn.so.9"};
  EXPECT_EQ(fake.opened, expected);
  for (const int flag : fake.flags) EXPECT_NE(flag & RTLD_GLOBAL, 0);
  EXPECT_EQ(library.version, 90100U);
  EXPECT_EQ(library.path, folder.path() + "/libcudnn.so.9");
  EXPECT_NE(reason.find("version 90100"), std::string::npos);
}

TEST(OpenCudnn, GoesOnAfterAnOldVersion) {
  const TemporaryFolder folder;
  touch(folder.path() + "/lib/libcudnn.so.9");
  FakeLoader fake{folder.path() + "/lib/libcudnn.so.9", "", {}, {}, kCompanions, ""};
  reported_version = 8907;
  CudnnLibrary library;
  std::string reason;
  EXPECT_FALSE(
      open_cudnn(fake_environment({{"CUDNN_PATH", folder.path()}}), fake.loader(), kDriver, &library, &reason));
  EXPECT_NE(reason.find("version 8907, at least 90000 is needed"), std::string::npos) << reason;
  EXPECT_NE(reason.find("already loaded: libcudnn.so.9: not loaded"), std::string::npos) << reason;
  EXPECT_NE(reason.find("system loader: libcudnn.so.9: refused"), std::string::npos) << reason;
  EXPECT_EQ(library.execute, nullptr);
}

TEST(OpenCudnn, PassesOverOneForANewerCudaAndLeavesNothingOfIt) {
  const TemporaryFolder folder;
  touch(folder.path() + "/lib/libcudnn.so.9");
  touch(folder.path() + "/lib/libcudnn_graph.so.9");
  FakeLoader fake{folder.path() + "/lib/libcudnn.so.9", "", {}, {}, kCompanions, ""};
  reported_version = 90000;
  CudnnLibrary library;
  std::string reason;
  EXPECT_FALSE(open_cudnn(fake_environment({{"CUDNN_PATH", folder.path()}}), fake.loader(), 12040, &library, &reason));
  EXPECT_NE(reason.find("lib/libcudnn.so.9: is for CUDA 13, the driver supports CUDA 12.4\n"), std::string::npos)
      << reason;
  EXPECT_NE(reason.find("system loader: libcudnn.so.9: refused"), std::string::npos) << reason;
  for (const std::string& name : fake.opened) EXPECT_EQ(name, "libcudnn.so.9");
  ASSERT_FALSE(fake.opened_apart.empty());
  EXPECT_EQ(fake.opened_apart.front(), folder.path() + "/lib/libcudnn.so.9");
  EXPECT_EQ(fake.closed, 1);
}

TEST(OpenCudnn, RefusesOneForANewerCudaThatCannotBeAskedApart) {
  FakeLoader fake{"libcudnn.so.9", "", {}, {}, kCompanions, ""};
  fake.opens_apart = false;
  reported_version = 90000;
  CudnnLibrary library;
  std::string reason;
  EXPECT_FALSE(open_cudnn(fake_environment({}), fake.loader(), 12040, &library, &reason));
  EXPECT_NE(reason.find("system loader: libcudnn.so.9: is for CUDA 13, the driver supports CUDA 12.4\n"),
            std::string::npos)
      << reason;
}

TEST(OpenCudnn, TakesOneForACudaOfTheDriverOrAnOlderOne) {
  reported_version = 90000;
  for (const auto& [cudart, driver] : {std::pair{12090, 12000}, {12090, 13000}, {13050, 13000}}) {
    reported_cudart = static_cast<std::size_t>(cudart);
    const std::string major = std::to_string(cudart / 1000);
    FakeLoader fake{"libcudnn.so.9", "", {}, {}, {"libcublasLt.so." + major, "libnvrtc.so." + major}, ""};
    CudnnLibrary library;
    std::string reason;
    EXPECT_TRUE(open_cudnn(fake_environment({}), fake.loader(), driver, &library, &reason)) << reason;
  }
  reported_cudart = 13000;
}

TEST(OpenCudnn, FindsCompanionsOfCuda12InTheirWheels) {
  const TemporaryFolder folder;
  touch(folder.path() + "/cudnn/lib/x");
  touch(folder.path() + "/cu13/lib/libcublasLt.so.13");
  touch(folder.path() + "/cublas/lib/libcublasLt.so.12");
  touch(folder.path() + "/cuda_nvrtc/lib/libnvrtc.so.12");
  const std::string here = folder.path() + "/cudnn/lib";
  FakeLoader fake{"libcudnn.so.9",
                  "",
                  {},
                  {},
                  {here + "/../../cublas/lib/libcublasLt.so.12", here + "/../../cuda_nvrtc/lib/libnvrtc.so.12"},
                  here};
  reported_version = 90000;
  reported_cudart = 12090;
  CudnnLibrary library;
  std::string reason;
  EXPECT_TRUE(open_cudnn(fake_environment({}), fake.loader(), 12040, &library, &reason)) << reason;
  reported_cudart = 13000;
}

TEST(OpenCudnn, NamesTheCallsALibraryLacks) {
  FakeLoader fake{"libcudnn.so.9", "cudnnBackendExecute", {}, {}, kCompanions, ""};
  reported_version = 90000;
  CudnnLibrary library;
  std::string reason;
  EXPECT_FALSE(open_cudnn(fake_environment({}), fake.loader(), kDriver, &library, &reason));
  EXPECT_NE(reason.find("lacks cudnnBackendExecute"), std::string::npos) << reason;
}

TEST(OpenCudnn, PassesOverALibraryWithoutItsCompanions) {
  FakeLoader fake{"libcudnn.so.9", "", {}, {}, {"libnvrtc.so.13"}, ""};
  reported_version = 90000;
  CudnnLibrary library;
  std::string reason;
  EXPECT_FALSE(open_cudnn(fake_environment({}), fake.loader(), kDriver, &library, &reason));
  EXPECT_NE(reason.find("needs what is not found: libcublasLt.so.13\n"), std::string::npos) << reason;
}

TEST(OpenCudnn, FindsCompanionsInTheWheelsBesideIt) {
  const TemporaryFolder folder;
  touch(folder.path() + "/cudnn/lib/x");
  touch(folder.path() + "/cu13/lib/libcublasLt.so.13");
  touch(folder.path() + "/toolkit/lib64/libnvrtc.so.13");
  const std::string here = folder.path() + "/cudnn/lib";
  FakeLoader fake{"libcudnn.so.9",
                  "",
                  {},
                  {},
                  {here + "/../../cu13/lib/libcublasLt.so.13", folder.path() + "/toolkit/lib64/libnvrtc.so.13"},
                  here};
  reported_version = 90000;
  CudnnLibrary library;
  std::string reason;
  EXPECT_TRUE(open_cudnn(fake_environment({{"CUDA_HOME", folder.path() + "/toolkit"}}), fake.loader(), kDriver,
                         &library, &reason))
      << reason;
}

TEST(OpenCudnn, RefusesALibraryThatIsNotCudnn) {
  FakeLoader fake{"libcudnn.so.9", "cudnnGetVersion", {}, {}, kCompanions, ""};
  CudnnLibrary library;
  std::string reason;
  EXPECT_FALSE(open_cudnn(fake_environment({}), fake.loader(), kDriver, &library, &reason));
  EXPECT_NE(reason.find("is not cuDNN"), std::string::npos) << reason;
}

TEST(OpenCudnn, AFileThatIsNoLibraryIsARefusalWithTheLoadersWords) {
  const TemporaryFolder folder;
  touch(folder.path() + "/libcudnn.so.9");
  CudnnLibrary library;
  std::string reason;
  Loader loader = system_loader();
  // The loader refuses an installed cuDNN, which this test must not find.
  loader.open = [open = loader.open](const std::string& name, int flags, std::string* error) -> void* {
    if (name.starts_with("/")) return open(name, flags, error);
    *error = "kept out";
    return nullptr;
  };
  EXPECT_FALSE(open_cudnn(fake_environment({{"DPM_CUDNN_PATH", folder.path()}}), loader, kDriver, &library, &reason));
  EXPECT_NE(reason.find("file too short"), std::string::npos) << reason;
}

constexpr int kNotInstalled = 77;

[[noreturn]] void look_with_an_old_driver() {
  CudnnLibrary library;
  std::string reason;
  const bool opened = open_cudnn(process_environment(), system_loader(), 11080, &library, &reason);
  const bool is_left = opened || dlopen("libcudnn.so.9", RTLD_NOW | RTLD_NOLOAD) != nullptr ||
                       dlopen("libcudnn_graph.so.9", RTLD_NOW | RTLD_NOLOAD) != nullptr;
  const bool was_met = reason.find("the driver supports CUDA 11.8") != std::string::npos;
  std::_Exit(is_left ? 1 : was_met ? 0 : kNotInstalled);
}

// The test runs in a process of its own, because this one has cuDNN open.
TEST(RealCudnnOfANewerCuda, LeavesNothingInTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  int outcome = -1;
  const auto note = [&outcome](int status) {
    outcome = WEXITSTATUS(status);
    return WIFEXITED(status);
  };
  EXPECT_EXIT(look_with_an_old_driver(), note, "");
  if (outcome == kNotInstalled) GTEST_SKIP() << "skipped: no cuDNN library";
  EXPECT_EQ(outcome, 0);
}

TEST_F(RealCudnn, IsFoundAndRemembered) {
  std::string reason;
  EXPECT_EQ(find_cudnn(&reason), &library());
  EXPECT_GE(library().version, 90000U);
  EXPECT_NE(reason.find("cuDNN version"), std::string::npos);
}

}  // namespace
}  // namespace dpm::cuda
