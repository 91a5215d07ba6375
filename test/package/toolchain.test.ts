// cmake/zig.cmake with a zig that says what it is asked to: which system is built for, and what compiled objects are kept by.
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { expect, it } from 'vitest';

import { packagePath, temporaryFolder } from '../support/temporary.js';

let folders = 0;

/** Reports what CMake knows of a system with a zig of this version. */
function configured(target: string, version = '0.17.0') {
  const folder = join(temporaryFolder(), String(folders++));
  mkdirSync(join(folder, 'bin'), { recursive: true });
  writeFileSync(join(folder, 'bin/zig'), `#!/bin/sh\necho ${version}\n`);
  chmodSync(join(folder, 'bin/zig'), 0o755);
  const shown = ['CMAKE_SYSTEM_NAME', 'CMAKE_SYSTEM_PROCESSOR', 'DPM_PLUGIN_SUFFIX', 'CMAKE_CXX_COMPILER_LAUNCHER'];
  const script = [
    'cmake_minimum_required(VERSION 3.24)',
    `set(DPM_ZIG_TARGET "${target}")`,
    `include("${packagePath('cmake/zig.cmake')}")`,
    'set(DPM_CCACHE ON)',
    'set(dpm_ccache /usr/bin/ccache)',
    `include("${packagePath('cmake/compiler_cache.cmake')}")`,
    ...shown.map((name) => `message("${name}=\${${name}}")`),
  ];
  writeFileSync(join(folder, 'probe.cmake'), script.join('\n'));
  const environment = { ...process.env, PATH: `${folder}/bin:${process.env.PATH ?? ''}` };
  const { status, stderr } = spawnSync('cmake', ['-P', 'probe.cmake'], {
    cwd: folder,
    env: environment,
    encoding: 'utf8',
  });
  // CMake breaks the lines of errors.
  if (status !== 0) throw new Error(stderr.replaceAll(/\s+/g, ' '));
  const known = new Map([...stderr.matchAll(/^(\w+)=(.*)$/gm)].map(([, name = '', value = '']) => [name, value]));
  return { known, compiler: readFileSync(join(folder, 'zig/clang++'), 'utf8') };
}

it.each([
  ['x86_64-linux-gnu.2.28', 'Linux', 'x86_64', ''],
  ['aarch64-linux-musl', 'Linux', 'aarch64', '.musl.so'],
  ['aarch64-macos.11.0', 'Darwin', 'aarch64', ''],
  ['x86_64-windows-gnu', 'Windows', 'x86_64', ''],
])('%s is a system', (target, system, processor, suffix) => {
  const { known } = configured(target);
  expect([known.get('CMAKE_SYSTEM_NAME'), known.get('CMAKE_SYSTEM_PROCESSOR')]).toEqual([system, processor]);
  expect(known.get('DPM_PLUGIN_SUFFIX')).toBe(suffix);
});

it('systems without kernels or a platform are none', () => {
  for (const target of ['', 'riscv64-linux-musl', 'x86_64-freebsd', '26.0.0']) {
    expect(() => configured(target), target).toThrow(/there are no kernels or no platform/);
  }
});

it('what one zig has compiled is not taken for what another would', () => {
  const [old, next] = [configured('x86_64-linux-musl', '0.17.0'), configured('x86_64-linux-musl', '0.18.0')];
  expect(old.compiler).toMatch(/^#!\/bin\/sh\n# zig 0\.17\.0\nexec zig c\+\+ "\$@"\n$/);
  expect(next.compiler).not.toBe(old.compiler);
  expect(configured('x86_64-linux-musl', '0.17.0').compiler).toBe(old.compiler);
  // Content decides, as the file is a new one in every folder.
  expect(old.known.get('CMAKE_CXX_COMPILER_LAUNCHER')).toMatch(/CCACHE_COMPILERCHECK=content/);
});
