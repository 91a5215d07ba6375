// The settings of stages, and the plug-in, cuDNN and build that they use.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describePython } from './python.mjs';
import { packagePath } from './settings.mjs';

const emulated = 'build/cmake/Release/emulated';

export function prepare({ quick, selfTest, out }) {
  const python = selfTest ? null : describePython();
  const settings = {
    quick,
    selfTest,
    out,
    tests: packagePath(selfTest ? 'build/cmake/Release/dpm_native_tests' : 'build/gpu/bin/dpm_device_tests'),
    products: packagePath(`${selfTest ? emulated : 'build/gpu/bin'}/dpm_time_products`),
    operations: packagePath(`${selfTest ? 'build/cmake/Release' : 'build/gpu/bin'}/dpm_operations`),
    describeCard: selfTest ? '' : packagePath('build/gpu/bin/dpm_describe_card'),
    python,
  };
  const plugin = packagePath(selfTest ? `${emulated}/libdpm_cuda_emulated.so` : 'build/gpu/bin/libdpm_cuda.so');
  const environment = { ...process.env };
  // Where nothing was built, the search for a driver reports it.
  if (existsSync(plugin)) environment.DPM_CUDA_PLUGIN = plugin;
  // On an emulated card the kernels of large maps are ten times as fast, and a self-test is about the stages.
  if (selfTest) environment.DPM_CUDA_SMALL ??= 'off';
  if (python?.cudnn != null) environment.DPM_CUDNN_PATH ??= join(python.cudnn, 'lib');
  return { settings, environment, build: digest([plugin, packagePath('build/Release/dpm_native.node')]) };
}

/** Makes a name for a build, so that a report shows which build its numbers belong to. */
function digest(files) {
  const hash = createHash('sha256');
  for (const file of files.filter(existsSync)) hash.update(readFileSync(file));
  return hash.digest('hex').slice(0, 8);
}
