import { isAlias, isCollection, isPair, isScalar, Lexer, LineCounter, parseDocument, Parser, type Pair } from 'yaml';

import { DpmError } from '../base/errors.js';
import { readText } from './files.js';
import { keyTwice, MAX_NESTING, nestedTooDeep } from './parse-json.js';

/** Maximum size of a YAML file: the time of some steps grows with the square of the length. */
const MAX_BYTES = 64 * 1024;

/**
 * Tells whether containers are nested too deep, token by token: the parser recurses when it composes or closes them, and a
 * regular expression that it compiles at the end of the stack ends the process.
 */
function isTooDeep(text: string): boolean {
  const parser = new Parser();
  for (const lexeme of new Lexer().lex(text)) {
    // Results are ignored; the parser advances while it makes them.
    Array.from(parser.next(lexeme));
    if (parser.stack.filter((token) => 'items' in token).length > MAX_NESTING) return true;
  }
  return false;
}

function keyOf({ key }: Pair): string | undefined {
  return isScalar<string | number | boolean | null>(key) ? String(key.value ?? '') : undefined;
}

function problemOfKeys(items: readonly unknown[]): string | undefined {
  const keys = new Set<string>();
  for (const item of items) {
    if (!isPair(item)) continue;
    const key = keyOf(item);
    if (key === undefined) return 'has a key that is a list or an object';
    if (keys.has(key)) return keyTwice(key);
    keys.add(key);
  }
  return undefined;
}

/** Finds a difference of a document from JSON. */
function findProblem(root: unknown): string | undefined {
  const open = [root];
  while (open.length > 0) {
    const node = open.pop();
    // Aliases that repeat each other would unfold without limit.
    if (isAlias(node)) return 'has an alias of YAML (*), which is not read';
    if (!isCollection(node)) continue;
    const problem = problemOfKeys(node.items);
    if (problem !== undefined) return problem;
    for (const item of node.items) open.push(isPair(item) ? item.value : item);
  }
  return undefined;
}

/**
 * Reads a YAML file of at most 64 KiB, which has to be one that JSON can hold: no tags of other types, no aliases. As in
 * JSON no key may occur twice, and containers are nested at most 64 deep.
 *
 * @throws {@link DpmError} `ERR_DPM_FILE` if it cannot be read, `ERR_DPM_CONFIG` naming the file if it is too large, no
 * YAML or breaks these rules.
 */
export async function readYaml(path: string): Promise<unknown> {
  const invalid = (problem: string): DpmError => new DpmError('ERR_DPM_CONFIG', `${path} ${problem}`);
  const text = await readText(path, MAX_BYTES);
  if (isTooDeep(text)) throw invalid(nestedTooDeep);
  const lineCounter = new LineCounter();
  const document = parseDocument(text, {
    lineCounter,
    // Messages with their lines, and comparing each key with all others, take unlimited time.
    prettyErrors: false,
    uniqueKeys: false,
    resolveKnownTags: false,
    schema: 'core',
    logLevel: 'error',
  });
  // A tag that is not known is only warned of.
  const [error] = [...document.errors, ...document.warnings];
  if (error !== undefined) {
    const { line } = lineCounter.linePos(error.pos[0]);
    throw invalid(`is not YAML: line ${line}: ${error.message.slice(0, 200)}`);
  }
  const problem = findProblem(document.contents);
  if (problem !== undefined) throw invalid(problem);
  return document.toJS();
}
