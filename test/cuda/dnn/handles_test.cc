// Test of the handles for streams, without a GPU: the library only records its calls.
#include "cuda/dnn/handles.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <thread>

#include "core/error.h"
#include "cuda/runtime/stream.h"

namespace dpm::cuda {
namespace {

/// Existing handles, each with the stream that it works on, and the calls that have been made.
struct Calls {
  std::map<cudnnHandle_t, cudaStream_t> streams;
  std::uintptr_t created = 0;
  int chosen = 0;
  cudnnStatus_t choosing = CUDNN_STATUS_SUCCESS;
};
Calls calls;

cudnnStatus_t create(cudnnHandle_t* handle) {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): nobody looks behind it
  *handle = reinterpret_cast<cudnnHandle_t>(++calls.created);
  calls.streams[*handle] = nullptr;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t destroy(cudnnHandle_t handle) {
  calls.streams.erase(handle);
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t set_stream(cudnnHandle_t handle, cudaStream_t stream) {
  ++calls.chosen;
  calls.streams[handle] = stream;
  return calls.choosing;
}
const char* error_string(cudnnStatus_t /*status*/) { return "no stream"; }
void last_error(char* message, std::size_t size) {
  if (size > 0) message[0] = 0;
}

class HandlesTest : public testing::Test {
 protected:
  HandlesTest() {
    calls = {};
    library_.create = create;
    library_.destroy = destroy;
    library_.set_stream = set_stream;
    library_.get_error_string = error_string;
    library_.get_last_error_string = last_error;
  }

  static cudaStream_t stream(std::uintptr_t number) {
    // NOLINTNEXTLINE(performance-no-int-to-ptr): nobody looks behind it
    return reinterpret_cast<cudaStream_t>(number);
  }

  CudnnLibrary library_;
};

TEST_F(HandlesTest, EveryStreamHasItsOwnThatStaysThere) {
  {
    const Handles handles(library_, stream(1), stream(2));
    EXPECT_EQ(calls.streams.at(handles.on(stream(1))), stream(1));
    EXPECT_EQ(calls.streams.at(handles.on(stream(2))), stream(2));
    EXPECT_EQ(handles.on(stream(1)), handles.main().get());
    for (int i = 0; i < 3; ++i) (void)handles.on(stream(1 + i % 2));
    EXPECT_EQ(calls.chosen, 2);
    EXPECT_EQ(calls.streams.size(), 2U);
  }
  EXPECT_TRUE(calls.streams.empty());
}

TEST_F(HandlesTest, NoneIsForAnotherStream) {
  const Handles handles(library_, stream(1), stream(2));
  try {
    (void)handles.on(stream(3));
    FAIL() << "there is none";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInternal);
  }
}

TEST_F(HandlesTest, OneThatCannotHaveItsStreamIsGivenBack) {
  calls.choosing = CUDNN_STATUS_BAD_PARAM;
  EXPECT_THROW(Handles(library_, stream(1), stream(2)), Error);
  EXPECT_EQ(calls.created, 1U);
  EXPECT_TRUE(calls.streams.empty());
}

TEST_F(HandlesTest, TheyComeAndGoWhileNobodyCaptures) {
  std::optional<std::shared_lock<std::shared_mutex>> capturing(capture_mutex());
  std::thread other([&] { const Handles handles(library_, stream(1), stream(2)); });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(calls.created, 0U);
  capturing.reset();
  other.join();
  EXPECT_EQ(calls.created, 2U);
}

}  // namespace
}  // namespace dpm::cuda
