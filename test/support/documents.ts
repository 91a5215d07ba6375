// The code blocks of documents, as files that can be compiled and run.
import { readFileSync } from 'node:fs';

import { packagePath } from './temporary.js';

/** How a block is checked: compiled and run to its end; compiled; run until it has answered a request; called. */
export type Check = 'run' | 'only compiled' | 'served' | 'called';

/** One block of code of a document. */
export interface CodeBlock {
  /** Name for messages, `docs/library.md:3`. */
  readonly name: string;
  readonly language: string;
  readonly code: string;
  readonly check: Check;
  /** Path that a server answers, or the name of the function that is called. */
  readonly target: string;
  /** True if it is for a browser. */
  readonly isOfBrowser: boolean;
  /** Declarations that it needs, which the text before it speaks of. */
  readonly context: string;
}

/** A mark above a block says what is not done as for others: `<!-- only compiled; with: declare const x: number; -->`. */
const mark = /^<!-- (only compiled|served|called)(?:: (\S+))?(; browser)?(?:; with: (.*?))? -->$/;

function block(name: string, language: string, lines: readonly string[], above: string): CodeBlock {
  const [, check = 'run', target = '', browser, context = ''] = mark.exec(above) ?? [];
  const code = `${lines.join('\n')}\n`;
  return { name, language, code, check: check as Check, target, isOfBrowser: browser !== undefined, context };
}

/** Lists the code blocks of a document. */
export function codeBlocks(file: string): CodeBlock[] {
  const lines = readFileSync(packagePath(file), 'utf8').split('\n');
  const blocks: CodeBlock[] = [];
  for (let at = 0; at < lines.length; ++at) {
    const [, indent, language] = /^( *)```(\w+)$/.exec(lines[at] ?? '') ?? [];
    if (indent === undefined || language === undefined) continue;
    const end = lines.indexOf(`${indent}\`\`\``, at + 1);
    if (end < 0) throw new Error(`${file}:${at + 1}: the block has no end`);
    const above = lines.slice(0, at).findLast((line) => line.trim() !== '') ?? '';
    blocks.push(block(`${file}:${at + 1}`, language, lines.slice(at + 1, end), above.trim()));
    at = end;
  }
  return blocks;
}

/** Words of a line of a shell, without comments; null for what is more than words, such as loops and variables. */
export function shellWords(line: string): string[] | null {
  if (/[$`]|^\s*for /.test(line)) return null;
  const words = line.matchAll(/"([^"]*)"|'([^']*)'|(#.*$)|([^\s"'#]\S*)/g);
  const found: string[] = [];
  for (const [, double, single, comment, plain] of words) {
    if (comment !== undefined || ['|', '&&', '>', '\\'].includes(plain ?? '')) break;
    found.push(double ?? single ?? plain ?? '');
  }
  return found;
}
