#include "sampling/registers.h"

namespace dpm {

dpm_view second_output(const NetworkShape& shape, const dpm_view& out, const dpm_view& head) {
  if (shape.head > 0) return head;
  if (shape.out < 2 * shape.image) return {};
  return {out.buffer, out.offset + shape.image, out.stride};
}

void download_rows(const Buffer& buffer, std::uint64_t image, std::uint32_t first, std::uint32_t rows,
                   RunImages& images, std::uint64_t to) {
  if (images.floats.empty()) {
    buffer.download_levels(first * image, images.levels.data() + to, rows * image);
  } else {
    buffer.download(first * image * sizeof(float), images.floats.data() + to, rows * image * sizeof(float));
  }
}

Registers::Registers(Device& device, const NetworkShape& shape, std::uint32_t rows)
    : device_(device), shape_(shape), rows_(rows) {
  x_ = allocated(shape_.image);
  out_ = allocated(shape_.out);
  if (shape_.head > 0) head_ = allocated(shape_.head);
}

std::shared_ptr<Buffer> Registers::allocated(std::uint64_t elements) const {
  return device_.allocate(rows_ * elements * sizeof(float));
}

std::shared_ptr<Buffer> Registers::zeroed() const {
  auto buffer = allocated(shape_.image);
  buffer->clear(0, buffer->bytes());
  return buffer;
}

void Registers::provide(bool y, std::uint32_t history) {
  if (y && !y_) y_ = zeroed();
  while (history_.size() < history) history_.push_back(zeroed());
}

void Registers::provide_noise() {
  if (!noise_) noise_ = allocated(shape_.image);
}

void Registers::clear(std::uint32_t row, std::uint32_t history) {
  if (y_) y_->clear(row * row_bytes(), row_bytes());
  for (std::uint32_t j = 0; j < history; ++j) history_[j]->clear(row * row_bytes(), row_bytes());
}

void Registers::write(std::uint32_t first, std::uint32_t rows, const float* states) {
  x_->upload(first * row_bytes(), states, rows * row_bytes());
}

void Registers::read(std::uint32_t first, std::uint32_t rows, float* states) const {
  x_->download(first * row_bytes(), states, rows * row_bytes());
}

void Registers::write_noise(std::uint32_t row, const float* slice) {
  noise_->upload(row * row_bytes(), slice, row_bytes());
}

dpm_update Registers::views() const {
  dpm_update result{};
  result.elements = shape_.image;
  result.x = x_->view(shape_.image);
  if (y_) result.y = y_->view(shape_.image);
  result.out = out_->view(shape_.out);
  result.head = second_output(shape_, result.out, head_ ? head_->view(shape_.head) : dpm_view{});
  if (noise_) result.noise = noise_->view(shape_.image);
  for (std::size_t j = 0; j < history_.size(); ++j) result.history[j] = history_[j]->view(shape_.image);
  return result;
}

void Registers::wait() const { device_.wait_for(x_->view(shape_.image)); }

std::unique_ptr<Transfer> Registers::transfer(std::uint32_t first, std::uint32_t rows, bool as_levels) const {
  return std::make_unique<Transfer>(device_.shared_from_this(), *x_, first * shape_.image, rows * shape_.image,
                                    as_levels);
}

void Registers::download(std::uint32_t first, std::uint32_t rows, RunImages& images, std::uint64_t to) const {
  download_rows(*x_, shape_.image, first, rows, images, to);
}

}  // namespace dpm
