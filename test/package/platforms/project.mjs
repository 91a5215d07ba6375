// Empty projects that have installed the packed package, and runtimes that are fetched to run programs in them.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, cpSync, existsSync, mkdirSync, mkdtempSync, openSync } from 'node:fs';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export const root = fileURLToPath(new URL('../../..', import.meta.url));
export const run = promisify(execFile);
export const work = mkdtempSync(join(tmpdir(), 'dpm-platforms-'));
const downloads = join(root, 'build/runtimes');
const MINUTES = 10;

export const environment = {
  ...process.env,
  PATH: `${join(root, '.toolchain/bin')}${delimiter}${process.env.PATH}`,
  PREBUILDS_ONLY: '1',
  npm_config_audit: 'false',
  npm_config_fund: 'false',
  npm_config_update_notifier: 'false',
};

/** On Windows npm is a script of the shell's. */
const npm = (args, more) => run('npm', args, { env: environment, shell: process.platform === 'win32', ...more });

let projects = 0;

/**
 * A new project with the package and the programs that try it.
 *
 * @param node - A Node that installs it with this machine's npm; without one npm's own does.
 */
export async function newProject(node) {
  const project = join(work, `project-${projects++}`);
  mkdirSync(project);
  const folder = join(root, 'build/packages');
  const tarball = existsSync(folder) && readdirSync(folder).find((name) => /^dpm-native-\d.*\.tgz$/.test(name));
  if (!tarball) throw new Error('there is no tarball in build/packages: scripts/pack');
  writeFileSync(join(project, 'package.json'), '{ "private": true, "type": "module" }\n');
  const install = ['install', '--ignore-scripts', join(folder, tarball)];
  if (node === undefined) {
    await npm(install, { cwd: project });
  } else {
    const { stdout } = await npm(['root', '--global']);
    await run(node, [join(stdout.trim(), 'npm/bin/npm-cli.js'), ...install], { cwd: project, env: environment });
  }
  for (const file of ['program.mjs', 'evaluation.mjs']) {
    cpSync(join(root, 'test/package/platforms', file), join(project, file));
  }
  return project;
}

/** Where an npm package of a runtime, `NAME@RANGE`, has been unpacked to. */
export async function unpacked(packaged) {
  const { stdout } = await npm(['view', packaged, 'version', '--json']);
  const [version] = [JSON.parse(stdout)].flat().sort((a, b) => b.localeCompare(a, 'en', { numeric: true }));
  const name = packaged.slice(0, packaged.lastIndexOf('@'));
  const folder = join(downloads, `${name.replaceAll('/', '+')}@${version}`);
  if (existsSync(folder)) return join(folder, 'package');
  const temporary = mkdtempSync(join(work, 'runtime-'));
  await npm(['pack', '--silent', `${name}@${version}`, '--pack-destination', temporary]);
  const [archive] = readdirSync(temporary);
  await run('tar', ['-xzf', join(temporary, archive), '-C', temporary]);
  rmSync(join(temporary, archive));
  mkdirSync(downloads, { recursive: true });
  cpSync(temporary, folder, { recursive: true });
  return join(folder, 'package');
}

/** The last line that a program writes. Its output goes to a file, as Node under Wine writes to no pipe. */
export async function lastLine(project, [program, ...args], env) {
  const file = join(work, 'output');
  const output = openSync(file, 'w');
  const stdio = ['ignore', output, output];
  const child = spawn(program, args, { cwd: project, stdio, env, timeout: MINUTES * 60_000 });
  const [status] = await once(child, 'close').finally(() => {
    closeSync(output);
  });
  const text = readFileSync(file, 'utf8');
  if (status !== 0) throw new Error(`${program} ended with ${status}\n${text.slice(-4000)}`);
  return text.trim().split('\n').at(-1);
}
