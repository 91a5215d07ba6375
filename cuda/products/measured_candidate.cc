#include "cuda/products/measured_candidate.h"

#include <array>
#include <charconv>
#include <cmath>
#include <system_error>

namespace dpm::cuda {

std::string to_text(const MeasuredCandidate& measured) {
  if (!std::isfinite(measured.seconds)) return measured.text + "@-";
  std::array<char, 32> number{};
  const auto [end, error] =
      std::to_chars(number.data(), number.data() + number.size(), measured.seconds * 1e6, std::chars_format::fixed, 1);
  return measured.text + "@" + (error == std::errc() ? std::string(number.data(), end) : "-");
}

}  // namespace dpm::cuda
