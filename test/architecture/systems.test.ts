// Code of one system is in that system's folder of native/platform, and CMake chooses.
import { expect, it } from 'vitest';

import { packagePath } from '../support/temporary.js';
import { readSources } from './imports.js';

const asks = /\b(_WIN32|__MINGW\w+__|_MSC_VER|__APPLE__|__linux__|__gnu_linux__|__unix__|__FreeBSD__)\b/;
const systemHeader =
  /#include <(windows|winsock2|psapi|malloc|io|unistd|fcntl|dlfcn|sched|sys\/\w+|mach\/\w+|pthread\/\w+|pthread)\.h>/;

it('no native code asks which system it is compiled for, but in a folder of that system', () => {
  const sources = [...readSources(packagePath('.'), ['native', 'cuda'])];
  const own = sources.filter(([file]) => /^native\/platform\/\w+\//.test(file));
  const others = sources.filter((source) => !own.includes(source));
  expect(own.length).toBeGreaterThan(6);
  expect(others.filter(([, text]) => asks.test(text)).map(([file]) => file)).toEqual([]);
  expect(own.filter(([, text]) => asks.test(text)).map(([file]) => file)).toEqual([]);
  // The CUDA device is for Linux.
  const everywhere = others.filter(([file]) => !file.startsWith('cuda/'));
  expect(everywhere.filter(([, text]) => systemHeader.test(text)).map(([file]) => file)).toEqual([]);
  // The pattern is found where it is allowed.
  expect(own.filter(([, text]) => systemHeader.test(text)).length).toBeGreaterThan(4);
  expect(asks.test('#if defined(_WIN32)')).toBe(true);
});
