// What documents show works as it is pasted: programs compile under strict settings and run, commands are ones that dpm takes.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import ts from 'typescript';
import { afterAll, describe, expect, it } from 'vitest';

import { groupCommand, parseCall } from '../../lib/cli/parser.js';
import { commands } from '../../lib/cli/registry.js';
import { codeBlocks, shellWords, type CodeBlock } from '../support/documents.js';
import { packagePath, temporaryFolder } from '../support/temporary.js';

const documents = [
  'README.md',
  'packages/server/README.md',
  ...readdirSync(packagePath('docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];
const blocks = documents.flatMap(codeBlocks);
const programs = blocks.filter(({ language }) => ['ts', 'js'].includes(language));

/** Inside the package, so that its name is found as users find it. */
const folder = packagePath('build/documents');

function fileOf({ name, language }: CodeBlock): string {
  return join(folder, `${name.replace(/\W+/g, '-')}.m${language}`);
}

const settings: ts.CompilerOptions = {
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  target: ts.ScriptTarget.ES2022,
  strict: true,
  noUncheckedIndexedAccess: true,
  exactOptionalPropertyTypes: true,
  noPropertyAccessFromIndexSignature: true,
  skipLibCheck: true,
  types: ['node'],
  rootDir: folder,
  outDir: folder,
};

/** What a block needs beside itself: `dpm.` for types in its context, and what is not installed here. */
function sourceOf({ code, context }: CodeBlock): string {
  return context === '' ? code : `import type * as dpm from 'dpm-native';\n${context}\nexport {};\n${code}`;
}

function compile(files: readonly string[], browser: boolean): string[] {
  const lib = ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts', ...(browser ? ['lib.dom.d.ts'] : [])];
  const stubs = join(folder, 'stubs.d.ts');
  const program = ts.createProgram([...files, stubs], { ...settings, lib, ...(browser && { types: [] }) });
  const { diagnostics } = program.emit();
  return [...ts.getPreEmitDiagnostics(program), ...diagnostics].map(({ file, start = 0, messageText }) => {
    const line = file === undefined ? 0 : file.getLineAndCharacterOfPosition(start).line + 1;
    return `${file?.fileName ?? ''}:${line} ${ts.flattenDiagnosticMessageText(messageText, ' ')}`;
  });
}

/** Electron brings a browser of its own and is not installed here. */
const stubs = `declare module 'electron' {
  export const app: { whenReady(): Promise<void>; on(event: 'will-quit', listener: () => void): void };
  export const ipcMain: { handle(channel: string, answer: (event: unknown, ...args: never[]) => unknown): void };
}
`;

const complaints = ((): string[] => {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'stubs.d.ts'), stubs);
  for (const program of programs) writeFileSync(fileOf(program), sourceOf(program));
  const typed = programs.filter(({ language }) => language === 'ts');
  const filesOf = (browser: boolean): string[] => typed.filter((each) => each.isOfBrowser === browser).map(fileOf);
  return [...compile(filesOf(false), false), ...compile(filesOf(true), true)];
})();

/** A folder as a user's: with the package among its modules. */
const work = temporaryFolder();
mkdirSync(join(work, 'node_modules'));
symlinkSync(packagePath('.'), join(work, 'node_modules/dpm-native'));

const children: ChildProcess[] = [];
afterAll(() => {
  for (const child of children) child.kill('SIGKILL');
});

interface Running {
  child: ChildProcess;
  output: () => string;
}

function start(file: string): Running {
  const child = spawn(process.execPath, [file], { cwd: work, stdio: ['ignore', 'pipe', 'pipe'] });
  children.push(child);
  const parts: string[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (part: Buffer) => parts.push(part.toString()));
  return { child, output: () => parts.join('') };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Asks until the server listens. */
async function ask(url: string, { child, output }: Running): Promise<Response> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(output());
    const answer = await fetch(url).catch(() => null);
    if (answer !== null) return answer;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const emitted = (program: CodeBlock): string => fileOf(program).replace(/\.mts$/, '.mjs');
const withCheck = (check: CodeBlock['check']): CodeBlock[] => programs.filter((program) => program.check === check);
const limit = 60_000;

describe('programs in documents', () => {
  it('compile under strict settings', () => {
    expect(programs.length).toBeGreaterThan(25);
    expect(complaints).toEqual([]);
  });

  it.each(withCheck('run'))('run as they are: $name', { timeout: limit }, async (program) => {
    const { child, output } = start(emitted(program));
    const [code] = (await once(child, 'close')) as [number | null];
    expect({ code, output: output() }).toEqual({ code: 0, output: expect.not.stringContaining('Error') as string });
  });

  it.each(withCheck('served'))('answer requests: $name', { timeout: limit }, async (program) => {
    const port = await freePort();
    const file = emitted(program);
    const code = (ts.sys.readFile(file) ?? '').replace(/\b3000\b/g, String(port));
    writeFileSync(file, code);
    const running = start(file);
    const answer = await ask(`http://127.0.0.1:${port}${program.target}`, running);
    expect(answer.status).toBe(200);
    const body = Buffer.from(await answer.arrayBuffer());
    if (answer.headers.get('content-type') === 'text/event-stream') {
      expect(body.toString()).toMatch(/event: accepted[^]*event: preview[^]*event: image[^]*event: done/);
    } else {
      expect(body.subarray(1, 4).toString()).toBe('PNG');
    }
  });

  it.each(withCheck('called'))('answer calls: $name', { timeout: limit }, async (program) => {
    const caller = join(folder, 'caller.mjs');
    const call = `import { ${program.target} as answer } from '${pathToFileURL(emitted(program)).href}';
      const response = await answer(new Request('http://localhost/digit?seed=3'));
      console.log(response.status, Buffer.from(await response.arrayBuffer()).subarray(1, 4).toString());
      process.exit();`;
    writeFileSync(caller, call);
    const { child, output } = start(caller);
    await once(child, 'close');
    expect(output()).toBe('200 PNG\n');
  });
});

/** Lines of shells that begin with dpm, with what continues them. */
const lines = blocks
  .filter(({ language }) => language === 'sh')
  .flatMap(({ name, code }) =>
    code
      .replaceAll(/\\\n\s*/g, ' ')
      .split('\n')
      .map((line) => ({ name, line: line.trim(), words: shellWords(line.trim()) })),
  )
  .flatMap(({ name, line, words }) => {
    const from = words === null ? -1 : words.indexOf('dpm');
    return from < 0 || from > 1 ? [] : [{ name, line, words: words!.slice(from + 1) }];
  });

describe('commands in documents', () => {
  it('are many', () => {
    expect(lines.length).toBeGreaterThan(60);
  });

  it.each(lines)('are taken: $line', async ({ words: [name = '', ...args] }) => {
    if (name === '' || name === 'complete' || name === 'help') return;
    const loaded = await commands[name]!();
    const [command, rest] = 'commands' in loaded ? groupCommand(loaded, args)! : [loaded, args];
    if (rest.includes('--help')) return;
    expect(parseCall(command, rest, new AbortController().signal)).not.toBeNull();
  });
});
