#include "sampling/registers.h"

namespace dpm {

Registers::Registers(Device& device, const NetworkShape& shape, std::uint32_t rows, bool y, std::uint32_t history)
    : device_(device), shape_(shape), rows_(rows) {
  x_ = allocated(shape_.image);
  out_ = allocated(shape_.out);
  if (shape_.head > 0) head_ = allocated(shape_.head);
  if (y) y_ = zeroed();
  for (std::uint32_t j = 0; j < history; ++j) history_.push_back(zeroed());
}

std::shared_ptr<Buffer> Registers::allocated(std::uint64_t elements) const {
  return device_.allocate(rows_ * elements * sizeof(float));
}

std::shared_ptr<Buffer> Registers::zeroed() const {
  auto buffer = allocated(shape_.image);
  buffer->clear(0, buffer->bytes());
  return buffer;
}

void Registers::write(const float* states) { x_->upload(0, states, rows_ * shape_.image * sizeof(float)); }

void Registers::write_noise(const std::vector<float>& noise, std::uint64_t samples, std::uint64_t first) {
  noise_records_ = static_cast<std::uint32_t>(noise.size() / (samples * shape_.image));
  const std::uint64_t bytes = rows_ * shape_.image * sizeof(float);
  noise_ = device_.allocate(noise_records_ * bytes);
  for (std::uint64_t r = 0; r < noise_records_; ++r) {
    noise_->upload(r * bytes, noise.data() + (r * samples + first) * shape_.image, bytes);
  }
}

dpm_update Registers::views() const {
  dpm_update result{};
  result.elements = shape_.image;
  result.x = x_->view(shape_.image);
  if (y_) result.y = y_->view(shape_.image);
  result.out = out_->view(shape_.out);
  if (head_) {
    result.head = head_->view(shape_.head);
  } else if (shape_.out >= 2 * shape_.image) {
    result.head = out_->view(shape_.out, shape_.image);
  }
  if (noise_) result.noise = noise_->view(shape_.image);
  for (std::size_t j = 0; j < history_.size(); ++j) result.history[j] = history_[j]->view(shape_.image);
  return result;
}

void Registers::download(RunImages& images, std::uint64_t first, bool levels) const {
  const std::uint64_t elements = rows_ * shape_.image;
  if (levels) {
    x_->download_levels(0, images.levels.data() + first, elements);
  } else {
    x_->download(0, images.floats.data() + first, elements * sizeof(float));
  }
}

}  // namespace dpm
