// The bound's term of an element whose variance a network has learned (Nichol and Dhariwal 2021, L_vlb).
#pragma once

namespace dpm::training {

/// What a level says of its step back: the variance of a network's output o lies between these logarithms, at
/// (1 + o) / 2 of the way.
struct StepBack {
  double low = 0;       ///< ln of the posterior variance; at the first level that of the second
  double high = 0;      ///< ln beta
  double variance = 0;  ///< posterior variance; 0: the step ends at the data
  double mean = 0;      ///< difference of the means of the step for one of the predicted noise
};

/// A term in nats, and its derivative by the network's output.
struct BoundTerm {
  double value = 0;
  double slope = 0;
};

/// Computes the divergence of the step from the posterior or, where it ends at the data, -ln of the probability of the
/// level of `x0`, one of 256 from -1 to 1, by the distribution function 1 + tanh(sqrt(2 / pi) (z + 0.044715 z^3))
/// over 2.
///
/// @param residual Predicted noise less the noise.
/// @param output Output of the network that places the variance.
BoundTerm bound_term(const StepBack& step, double x0, double residual, double output);

}  // namespace dpm::training
