// What predicts for the sampling loop: a network on the device, or a function that answers later.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/network.h"
#include "sampling/question.h"

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
  /// False when they come later.
  virtual bool guide(const Evaluation& /*evaluation*/, const float* /*times*/,
                     const std::vector<std::uint32_t>& /*samples*/) {
    return true;
  }
  /// Gradients of guides, one row an evaluated row; absent where there are none.
  [[nodiscard]] virtual dpm_view guide() const { return {}; }
  /// The network whose device may take whole steps and trajectories; null where there is none.
  [[nodiscard]] virtual Network* network() { return nullptr; }

  /// What a function is asked where something comes later.
  [[nodiscard]] virtual const Question* question() const { return nullptr; }
  /// Takes what the function answers: predictions, [rows][out] and [rows][head], or gradients, [rows][image]. Throws
  /// Error(kTensorShape) when there are more or fewer.
  virtual void answer(const std::vector<float>& /*values*/, const std::vector<float>& /*head*/) {}
};

/// A network, which has predicted when `evaluate` returns.
class NetworkEvaluator : public Evaluator {
 public:
  /// The network has to live as long.
  explicit NetworkEvaluator(Network& network) : network_(network) {}
  /// Keeps the network loaded.
  explicit NetworkEvaluator(std::shared_ptr<Network> network) : network_(*network), kept_(std::move(network)) {}

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
  std::shared_ptr<Network> kept_;
};

/// A function of the caller's in place of a network: `evaluate` brings the states to main memory, `answer` the
/// predictions back.
class ScriptEvaluator final : public Evaluator {
 public:
  ScriptEvaluator(std::shared_ptr<Device> device, const NetworkShape& shape)
      : device_(std::move(device)), shape_(shape) {}

  [[nodiscard]] Device& device() const override { return *device_; }
  [[nodiscard]] const NetworkShape& shape() const override { return shape_; }
  void reserve(std::uint32_t /*rows*/) override {}
  bool evaluate(const Evaluation& evaluation, const float* times) override;
  [[nodiscard]] const Question* question() const override { return &question_; }
  void answer(const std::vector<float>& values, const std::vector<float>& head) override;

 private:
  std::shared_ptr<Device> device_;
  NetworkShape shape_;
  Evaluation evaluation_;
  Question question_;
};

/// A network whose samples functions of the caller's guide.
class ScriptGuidedEvaluator final : public NetworkEvaluator {
 public:
  using NetworkEvaluator::NetworkEvaluator;

  [[nodiscard]] bool has_guides() const override { return true; }
  bool guide(const Evaluation& evaluation, const float* times, const std::vector<std::uint32_t>& samples) override;
  [[nodiscard]] dpm_view guide() const override { return guide_ ? guide_->view(shape().image) : dpm_view{}; }
  /// Steps that a device does as a whole know no guides.
  [[nodiscard]] Network* network() override { return nullptr; }
  [[nodiscard]] const Question* question() const override { return &question_; }
  void answer(const std::vector<float>& values, const std::vector<float>& head) override;

 private:
  Question question_;
  std::shared_ptr<Buffer> guide_;
};

}  // namespace dpm
