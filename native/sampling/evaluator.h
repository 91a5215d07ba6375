// The source of predictions in the sampling loop: a network on the device, or a function that answers later.
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
  /// Allocates for evaluations of up to `rows` rows.
  virtual void reserve(std::uint32_t rows) = 0;
  /// Predicts from the tensors of `evaluation`. Returns false when the outputs are written later and the loop has to
  /// wait.
  virtual bool evaluate(const Evaluation& evaluation, const float* times) = 0;
  /// Rows that an evaluation of `rows` computes, at most what was reserved.
  [[nodiscard]] virtual std::uint32_t padded(std::uint32_t rows) const { return rows; }
  /// Returns whether guides are computed beside its evaluations.
  [[nodiscard]] virtual bool has_guides() const { return false; }
  /// Computes the gradients of guides for the first rows of an evaluation, which belong to these samples of the
  /// request. Returns false when they come later.
  virtual bool guide(const Evaluation& /*evaluation*/, const float* /*times*/,
                     const std::vector<std::uint32_t>& /*samples*/) {
    return true;
  }
  /// Gradients of guides, one row per evaluated row; absent where there are none.
  [[nodiscard]] virtual dpm_view guide() const { return {}; }
  /// The network whose device may take whole steps and trajectories; null where there is none.
  [[nodiscard]] virtual Network* network() { return nullptr; }

  /// The question to a function whose answer comes later.
  [[nodiscard]] virtual const Question* question() const { return nullptr; }
  /// Takes the function's answer: predictions, [rows][out] and [rows][head], or gradients, [rows][image]. Throws
  /// Error(kTensorShape) when there are more or fewer elements.
  virtual void answer(const std::vector<float>& /*values*/, const std::vector<float>& /*head*/) {}
};

/// A network, which has predicted when `evaluate` returns.
class NetworkEvaluator : public Evaluator {
 public:
  /// Refers to the network, which has to outlive this object.
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

/// A function of the caller in place of a network: `evaluate` copies the states to main memory, `answer` copies the
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

/// A network whose samples are guided by functions of the caller.
class ScriptGuidedEvaluator final : public NetworkEvaluator {
 public:
  using NetworkEvaluator::NetworkEvaluator;

  [[nodiscard]] bool has_guides() const override { return true; }
  bool guide(const Evaluation& evaluation, const float* times, const std::vector<std::uint32_t>& samples) override;
  [[nodiscard]] dpm_view guide() const override { return guide_ ? guide_->view(shape().image) : dpm_view{}; }
  /// Steps that a device takes as a whole have no guides.
  [[nodiscard]] Network* network() override { return nullptr; }
  [[nodiscard]] const Question* question() const override { return &question_; }
  void answer(const std::vector<float>& values, const std::vector<float>& head) override;

 private:
  Question question_;
  std::shared_ptr<Buffer> guide_;
};

}  // namespace dpm
