export { readPytorchFile, type PytorchFile } from './pytorch-file.js';
export { pytorchCheckpoint, tensorsOf, valueAt, type PicklePath, type StateDict } from './state-dict.js';
export { readPytorchFloats } from './state-dict.js';
export { PytorchStorage, PytorchTensor } from './tensor.js';
export type { PickleKey, PickleValue } from './values.js';
