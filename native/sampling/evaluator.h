// Whoever predicts for the sampling loop: a network on the device, or a function that answers later.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/network.h"

namespace dpm {

class Evaluator {
 public:
  Evaluator() = default;
  virtual ~Evaluator() = default;
  Evaluator(const Evaluator&) = delete;
  Evaluator& operator=(const Evaluator&) = delete;

  [[nodiscard]] virtual Device& device() const = 0;
  [[nodiscard]] virtual const NetworkShape& shape() const = 0;
  /// Makes evaluations of up to `rows` rows possible.
  virtual void reserve(std::uint32_t rows) = 0;
  /// Predicts from the tensors of `evaluation`. False when its outputs are written later: the loop has to wait.
  virtual bool evaluate(const Evaluation& evaluation, const float* times) = 0;
  /// Rows that an evaluation of `rows` computes, at most what was reserved.
  [[nodiscard]] virtual std::uint32_t padded(std::uint32_t rows) const { return rows; }
  /// Whether guides are computed beside its evaluations.
  [[nodiscard]] virtual bool has_guides() const { return false; }
  /// Computes the gradients of guides at the first rows of an evaluation, which are of these samples of the request.
  virtual void guide(const Evaluation& /*evaluation*/, const float* /*times*/,
                     const std::vector<std::uint32_t>& /*samples*/) {}
  /// Gradients of guides, one row an evaluated row; absent where there are none.
  [[nodiscard]] virtual dpm_view guide() const { return {}; }
  /// The network whose device may take whole trajectories; null where there is none.
  [[nodiscard]] virtual Network* network() { return nullptr; }
};

/// A network, which has predicted when `evaluate` returns.
class NetworkEvaluator : public Evaluator {
 public:
  explicit NetworkEvaluator(Network& network) : network_(network) {}

  [[nodiscard]] Device& device() const override { return network_.device(); }
  [[nodiscard]] const NetworkShape& shape() const override { return network_.shape(); }
  void reserve(std::uint32_t rows) override { network_.reserve(static_cast<int>(rows)); }
  bool evaluate(const Evaluation& evaluation, const float* times) override {
    network_.evaluate(evaluation, times);
    return true;
  }
  [[nodiscard]] std::uint32_t padded(std::uint32_t rows) const override { return network_.padded(rows); }
  [[nodiscard]] Network* network() override { return &network_; }

 private:
  Network& network_;
};

/// The same, which keeps the network loaded.
class SharedNetworkEvaluator final : public NetworkEvaluator {
 public:
  explicit SharedNetworkEvaluator(std::shared_ptr<Network> network)
      : NetworkEvaluator(*network), network_(std::move(network)) {}

 private:
  std::shared_ptr<Network> network_;
};

/// A function of the caller's: `evaluate` brings the states to main memory, `answer` the predictions back.
class ScriptEvaluator final : public Evaluator {
 public:
  ScriptEvaluator(std::shared_ptr<Device> device, const NetworkShape& shape)
      : device_(std::move(device)), shape_(shape) {}

  [[nodiscard]] Device& device() const override { return *device_; }
  [[nodiscard]] const NetworkShape& shape() const override { return shape_; }
  void reserve(std::uint32_t /*rows*/) override {}
  bool evaluate(const Evaluation& evaluation, const float* times) override;

  /// Whether an answer is waited for.
  [[nodiscard]] bool waits() const { return waits_; }
  /// [rows][image], one time per row of the evaluation that waits, and one label where the shape has classes.
  [[nodiscard]] const std::vector<float>& states() const { return states_; }
  [[nodiscard]] const std::vector<float>& times() const { return times_; }
  [[nodiscard]] const std::vector<std::int32_t>& labels() const { return labels_; }
  /// Nobody will answer.
  void give_up() { waits_ = false; }
  /// Takes the predictions, [rows][out] and [rows][head], and gradients of guides, [rows][image], where there are any.
  /// Throws Error(kArgument) when nobody waits for them, Error(kTensorShape) when there are more or fewer.
  void answer(const std::vector<float>& out, const std::vector<float>& head, const std::vector<float>& guide = {});
  [[nodiscard]] dpm_view guide() const override { return guide_ ? guide_->view(shape_.image) : dpm_view{}; }

 private:
  std::shared_ptr<Device> device_;
  NetworkShape shape_;
  Evaluation evaluation_;
  bool waits_ = false;
  std::vector<float> states_;
  std::vector<float> times_;
  std::vector<std::int32_t> labels_;
  /// Of the last answer.
  std::shared_ptr<Buffer> guide_;
};

}  // namespace dpm
