#include "engine/gradients.h"

#include <algorithm>

namespace dpm {
namespace {

/// Number of elements by which places are aligned.
constexpr std::uint64_t kAlignment = 16;

}  // namespace

GradientPlaces::GradientPlaces(const graph::Graph& graph, std::vector<int> constants) {
  // No two of them have one name (WeightGradients).
  std::ranges::sort(constants, {}, [&](int constant) -> const std::string& {
    return graph.constants[static_cast<std::size_t>(constant)].name;
  });
  for (const int constant : constants) {
    const auto count = static_cast<std::uint64_t>(graph.constants[static_cast<std::size_t>(constant)].elements());
    places_.push_back({constant, elements_, count});
    elements_ += (count + kAlignment - 1) / kAlignment * kAlignment;
  }
}

const GradientPlace* GradientPlaces::find(const graph::Graph& graph, std::string_view binding) const {
  constexpr std::string_view kPrefix = DPM_BINDING_GRADIENT;
  if (!binding.starts_with(kPrefix)) return nullptr;
  const auto place = std::ranges::find_if(places_, [&](const GradientPlace& each) {
    return graph.constants[static_cast<std::size_t>(each.constant)].name == binding.substr(kPrefix.size());
  });
  return place == places_.end() ? nullptr : &*place;
}

}  // namespace dpm
