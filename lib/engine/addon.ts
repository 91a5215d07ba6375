import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { DpmError } from '../base/errors.js';
import { RECORD_BYTES } from '../program/pack.js';
import { NATIVE_ABI_VERSION, type NativeBinding } from './native-engine.js';

/** How a system without a prebuild gets one: the package has no sources. */
const ownBuild = 'in a checkout of its repository, npm install && scripts/pack --here writes a package for this system';

const packageRoot = join(dirname(fileURLToPath(import.meta.url)), '../..');
let binding: NativeBinding | undefined;

/**
 * Loads the addon on first use.
 *
 * @throws {@link DpmError} `ERR_DPM_ADDON` if no build for this platform is found or it does not fit this package.
 */
export function native(): NativeBinding {
  binding ??= load();
  return binding;
}

/**
 * Finds the path of the addon in a package.
 *
 * @param resolve - Function of node-gyp-build.
 * @throws {@link DpmError} `ERR_DPM_ADDON` if there is none for this platform.
 */
export function buildIn(root: string, resolve: (directory: string) => string): string {
  try {
    return resolve(root);
  } catch (cause) {
    throw new DpmError(
      'ERR_DPM_ADDON',
      `no native build of dpm-native for ${process.platform}-${process.arch} was found in ${root}; ${ownBuild}`,
      { cause },
    );
  }
}

/** Makes the error for an addon that exists and does not load: the system's message, and what may help. */
export function loadingError(path: string, cause: unknown): DpmError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const hint = /GLIBC|GLIBCXX|CXXABI/.test(reason)
    ? 'the C or C++ library of this system is older than the one that it was built for'
    : /ELF|file too short|cannot read file data|not a valid|invalid|truncated/i.test(reason)
      ? 'the file is damaged or of another platform: install the package again'
      : 'it is not for this system';
  return new DpmError('ERR_DPM_ADDON', `the native build ${path} does not load: ${reason}; ${hint}; ${ownBuild}`, {
    cause,
  });
}

function load(): NativeBinding {
  const napi = Number(process.versions.napi);
  if (!(napi >= 8)) {
    throw new DpmError(
      'ERR_DPM_ADDON',
      `dpm-native needs Node-API 8 or newer, this runtime has ${process.versions.napi}`,
    );
  }
  const require = createRequire(import.meta.url);
  const { resolve } = require('node-gyp-build') as { resolve: (directory: string) => string };
  const path = buildIn(packageRoot, resolve);
  let loaded: NativeBinding;
  try {
    // A file of its own, so that tools that trace a program's dependencies find the addon.
    loaded = require('../../addon.cjs') as NativeBinding;
  } catch (cause) {
    throw loadingError(path, cause);
  }
  requireFit(loaded);
  loaded.useCudaPlugins(cudaPlugins(require));
  return loaded;
}

/**
 * Lists the files of the CUDA device, a package of its own; none if it is not installed.
 *
 * @throws {@link DpmError} `ERR_DPM_ADDON` if it is installed and does not load.
 */
export function cudaPlugins(require: NodeJS.Require): readonly string[] {
  try {
    return (require('@dpm-native/cuda-linux-x64') as { plugins: readonly string[] }).plugins;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND') return [];
    throw new DpmError('ERR_DPM_ADDON', 'the package @dpm-native/cuda-linux-x64 does not load: install it again', {
      cause,
    });
  }
}

/**
 * Refuses an addon of another version of this package.
 *
 * @throws {@link DpmError} `ERR_DPM_ADDON` saying what differs.
 */
export function requireFit({ abiVersion, recordBytes }: Pick<NativeBinding, 'abiVersion' | 'recordBytes'>): void {
  const require = (what: string, found: number, expected: number): void => {
    if (found === expected) return;
    throw new DpmError(
      'ERR_DPM_ADDON',
      `the native build has ${what} ${found}, this package needs ${expected}; rebuild it: npm run build:native`,
    );
  };
  require('surface version', abiVersion, NATIVE_ABI_VERSION);
  require('records of size', recordBytes, RECORD_BYTES);
}
