/**
 * The first key that occurs twice in one object of `text`, which has to be valid JSON. `JSON.parse` keeps only the last of
 * them, and two readers that differ in that see two different files.
 */
export function findDuplicateKey(text: string): string | undefined {
  const scopes: Set<string>[] = [];
  // Strings, and the punctuation that opens and closes scopes; numbers and literals cannot contain any of these.
  for (const [token, isKey] of tokens(text)) {
    if (token === '{' || token === '[') scopes.push(new Set());
    else if (token === '}' || token === ']') scopes.pop();
    else if (isKey) {
      const key = JSON.parse(token) as string;
      const scope = scopes.at(-1);
      if (scope?.has(key) === true) return key;
      scope?.add(key);
    }
  }
  return undefined;
}

function* tokens(text: string): Generator<[token: string, isKey: boolean]> {
  const pattern = /[{}[\]]|"(?:[^"\\]|\\.)*"(\s*:)?/gy;
  const gap = /[^{}[\]"]*/gy;
  for (let position = 0; position < text.length;) {
    gap.lastIndex = position;
    gap.exec(text);
    pattern.lastIndex = gap.lastIndex;
    const match = pattern.exec(text);
    if (match === null) return;
    const colon = match[1];
    yield [colon === undefined ? match[0] : match[0].slice(0, -colon.length), colon !== undefined];
    position = pattern.lastIndex;
  }
}
