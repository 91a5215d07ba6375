// Bodies that no client should send, by the route that gets them.

/** A name of the attack, the body, and the field that the answer has to name; null: none. */
export type BodyAttack = readonly [name: string, body: unknown, param: string | null];

/** Values that are not a number of the kind that a field takes. */
const noIntegers: readonly (readonly [string, unknown])[] = [
  ['text', '7'],
  ['nothing', null],
  ['true', true],
  ['a list', [1]],
  ['an object', { valueOf: 1 }],
  ['a fraction', 2.5],
  ['-1', -1],
  ['more than any', 1e308],
];

const fieldsOf = (field: string, values: readonly (readonly [string, unknown])[]): BodyAttack[] =>
  values.map(([name, value]) => [`${field} is ${name}`, { [field]: value }, field]);

const without = (names: readonly string[]): typeof noIntegers => noIntegers.filter(([name]) => !names.includes(name));

const longText = 'x'.repeat(70_000);
const secrets = [
  '../../../etc/passwd',
  '/proc/self/environ',
  'file:///etc/passwd',
  '%s%n',
  '${process.env.HOME}',
  '{{7*7}}',
];

/** Fields of a request for samples, which is right but for them. */
export const sampleAttacks: readonly BodyAttack[] = [
  ...fieldsOf('steps', noIntegers),
  ...fieldsOf('count', noIntegers),
  ...fieldsOf('first', noIntegers),
  // A seed may be a text of digits.
  ...fieldsOf('seed', without(['text'])),
  ...fieldsOf('deadlineMs', without(['a fraction'])),
  ...fieldsOf('guidance', without(['-1', 'a fraction', 'a list', 'more than any'])),
  ...fieldsOf('classLabels', without(['a list'])),
  ...fieldsOf('unconditionalLabel', without(['nothing', '-1'])),
  ...fieldsOf('priority', [
    ['a number', 1],
    ['empty', ''],
    ['of a prototype', 'toString'],
    ['a list', ['high']],
  ]),
  ...fieldsOf('dtype', [
    ['a number', 8],
    ['empty', ''],
    ['bf16', 'bf16'],
    ['an object', {}],
  ]),
  ...fieldsOf('sampler', [
    ['a number', 1],
    ['empty', ''],
    ['valueOf', 'valueOf'],
    ['__proto__', '__proto__'],
    ['a long text', longText],
    ['a list', ['ddim']],
  ]),
  ...fieldsOf('options', [
    ['a text', 'order'],
    ['a list', [1]],
    ['nothing', null],
  ]),
  ...fieldsOf('preview', [
    ['true', true],
    ['nothing', null],
    ['a list', []],
  ]),
  ...fieldsOf('init', [
    ['a text', 'AAAA'],
    ['nothing', null],
    ['a list', [[1, 1, 28, 28]]],
  ]),
  ...secrets.map((name): BodyAttack => [`a field is named ${name}`, { [name]: 1 }, name]),
  ['more samples than a request may have', { count: 2 ** 31 }, 'count'],
  ['a seed of more than 64 bits', { seed: '1' + '0'.repeat(40) }, 'seed'],
  ['a seed in hexadecimal', { seed: '0x10' }, 'seed'],
  ['a seed with a space', { seed: ' 1' }, 'seed'],
  ['a seed of a million digits', { seed: '9'.repeat(1e6) }, 'seed'],
  ['a million labels', { classLabels: new Array(1e6).fill(0) }, 'classLabels'],
  ['a million weights', { guidance: new Array(1e6).fill(1) }, 'guidance'],
  ['states of a negative side', { init: { shape: [1, 1, -28, -28], b64: '' } }, 'init/shape/2'],
  ['states of 2^53 samples', { init: { shape: [2 ** 53, 1, 28, 28], b64: '' } }, 'init/shape'],
  ['states of three sides', { init: { shape: [1, 28, 28], b64: '' } }, 'init/shape'],
  ['states that are no base64', { init: { shape: [1, 1, 28, 28], b64: '*'.repeat(4184) } }, 'init/b64'],
  ['an option with a name of 65 characters', { options: { ['o'.repeat(65)]: 1 } }, null],
  [
    'thousands of options',
    { options: Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`o${i}`, i])) },
    'options/o0',
  ],
  ['a table of a million timesteps', { options: { timesteps: new Array(1e6).fill(1) } }, 'options/timesteps'],
  ['timesteps that go up', { options: { timesteps: [0, 500, 999] } }, 'timesteps'],
  ['timesteps of texts', { options: { timesteps: ['a'] } }, 'timesteps'],
  ['eta that is not a number', { options: { eta: 'NaN' } }, 'eta'],
  ['eta above all bounds', { options: { eta: 1e300 } }, 'eta'],
  ['a prompt for a model without', { prompt: 'a cat' }, 'prompt'],
  ['a picture for a model without', { image: 'AAAA' }, 'image'],
];

/** Texts of bodies that are no request at all. */
export const rawBodies: readonly (readonly [string, string | Uint8Array])[] = [
  ['nothing but spaces', ' '.repeat(1000)],
  ['two values', '{}{}'],
  ['a comment', '{"model":"mnist" /* */}'],
  ['a trailing comma', '{"model":"mnist",}'],
  ['single quotes', "{'model':'mnist'}"],
  ['NaN', '{"model":"mnist","steps":NaN}'],
  ['a number with a plus', '{"model":"mnist","steps":+3}'],
  ['a number in octal', '{"model":"mnist","steps":010}'],
  ['UTF-16', Buffer.from('{"model":"mnist"}', 'utf16le')],
  ['an overlong slash', Buffer.from([0x22, 0xc0, 0xaf, 0x22])],
  ['half of a surrogate', Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22])],
  ['a zero byte', '{"model":"mnist\0"}'],
  ['a text that does not end', `"${'a'.repeat(1e5)}`],
  ['a form', 'model=mnist&steps=3'],
  ['XML with entities', '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>'],
  ['gzip', Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3])],
  ['a pickle', Buffer.from([0x80, 4, 0x8c, 5, 0x70, 0x6f, 0x73, 0x69, 0x78, 0x2e])],
  ['33 brackets', '['.repeat(33) + ']'.repeat(33)],
  ['a list', '[{"model":"mnist"}]'],
  ['a text', '"mnist"'],
  ['true', 'true'],
];

/** Fields of a request for a job, which is right but for them. */
export const jobAttacks: readonly BodyAttack[] = [
  ...fieldsOf('count', noIntegers),
  ...fieldsOf('chunk', noIntegers),
  ...fieldsOf('steps', without(['more than any'])),
  ...fieldsOf('seed', without(['text', 'a list'])),
  ...fieldsOf('format', [
    ['a number', 1],
    ['jpeg', 'jpeg'],
    ['a path', '../npy'],
    ['of a prototype', 'constructor'],
    ['nothing', null],
  ]),
  ['a field that only samples have', { deadlineMs: 100 }, 'deadlineMs'],
  ['states', { init: { shape: [1, 1, 28, 28], b64: '' } }, 'init'],
  ['a place for its files', { results: 's3://elsewhere' }, 'results'],
  ['a tenant', { tenant: 'other' }, 'tenant'],
  ['an id', { id: 'mine' }, 'id'],
];

/** Fields of a request for images as OpenAI has it. */
export const imageAttacks: readonly BodyAttack[] = [
  ...fieldsOf('n', noIntegers),
  ...fieldsOf('size', [
    ['a number', 28],
    ['another', '1024x1024'],
    ['negative', '-28x-28'],
    ['of no digits', 'axb'],
    ['long', '9'.repeat(100)],
  ]),
  ...fieldsOf('response_format', [
    ['a URL', 'url'],
    ['nothing', null],
  ]),
  ...fieldsOf('output_format', [
    ['jpeg', 'jpeg'],
    ['a number', 1],
  ]),
  ...fieldsOf('quality', [
    ['hd', 'hd'],
    ['of a prototype', 'toString'],
    ['a list', ['low']],
  ]),
  ...fieldsOf('stream', [
    ['text', 'true'],
    ['a number', 1],
  ]),
  ...fieldsOf('partial_images', [
    ['four', 4],
    ['-1', -1],
    ['text', '1'],
  ]),
  ...fieldsOf('user', [
    ['long', 'u'.repeat(257)],
    ['a number', 7],
  ]),
  ['a prompt that is a list', { prompt: ['a'] }, 'prompt'],
  ['a prompt of 5,000 characters', { prompt: 'p'.repeat(5000) }, 'prompt'],
  ['a prompt that names a class', { prompt: 'class:3' }, 'prompt'],
  ['a class of many digits', { prompt: `class:${'9'.repeat(400)}` }, 'prompt'],
  ['a field of another API', { style: 'vivid' }, 'style'],
];
