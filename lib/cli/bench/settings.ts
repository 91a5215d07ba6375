/** Defaults of the benchmarks, which their helps name. */
export const benchDefaults = {
  /** Networks that are evaluated or loaded. */
  networks: ['mnist', 'ddpm-cifar10-32'],
  batches: [1, 4, 16],
  /** Network that serves. */
  served: 'mnist',
  /** Rows offered over what the batch can do. */
  load: 0.8,
  seconds: 30,
  rounds: 2,
  /** Steps of the requests. */
  lengths: [10, 25, 70],
  longShare: 0,
} as const;
