import type { SampleBody } from './fields.js';

/** A request in other words. */
export interface Copy {
  readonly name: string;
  readonly text: string;
}

const flagOf = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** A text as shells take it. */
const quoted = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`;

function generateLine({ model, sampler, seed, steps, count, guidance, ...others }: SampleBody): string {
  const { prompt = '', negativePrompt, size, loras = [], image, strength } = others;
  const [width, height] = size?.split('x') ?? [];
  const given: [string, unknown][] = Object.entries({ sampler, steps, count, seed, guidance, height, width, strength });
  const flags = given.filter(([, value]) => value !== undefined).map(([name, value]) => `--${name} ${String(value)}`);
  return [
    'npx dpm generate',
    model,
    quoted(prompt),
    ...flags,
    ...(negativePrompt === undefined ? [] : [`--negative-prompt ${quoted(negativePrompt)}`]),
    ...(image === undefined ? [] : ['--image picture.png']),
    ...loras.map(({ name }) => `--lora ${name}.safetensors`),
  ].join(' ');
}

function commandLine(body: SampleBody): string {
  if (body.prompt !== undefined) return generateLine(body);
  const { model, sampler, seed, steps, count, classLabels, guidance, options = {} } = body;
  const given: [string, unknown][] = Object.entries({ sampler, steps, count, seed, class: classLabels, guidance });
  const own = Object.entries(options).map(([name, value]) => [flagOf(name), value] as const);
  const flags = [...given, ...own]
    .filter(([, value]) => value !== undefined && value !== false)
    .map(([name, value]) => (value === true ? `--${name}` : `--${name} ${String(value)}`));
  return ['npx dpm sample', model, ...flags].join(' ');
}

function generatingProgram({ model, seed, options: _, image, loras = [], size, ...others }: SampleBody): string {
  const [width, height] = size?.split('x').map(Number) ?? [];
  const values = Object.entries({ ...others, ...(size !== undefined && { height, width }) }).map(
    ([name, value]) => `  ${name}: ${JSON.stringify(value)},`,
  );
  const files = loras.map(({ name }) => ({ path: `${name}.safetensors` }));
  return [
    `import { ${image === undefined ? '' : 'ImageBatch, '}TextToImage } from 'dpm-native';`,
    '',
    `const pipeline = await TextToImage.load(${JSON.stringify(model)}${files.length === 0 ? '' : `, { loras: ${JSON.stringify(files)} }`});`,
    'const { images } = await pipeline.generate({',
    ...values,
    ...(image === undefined ? [] : ["  image: await ImageBatch.load('picture.png'),"]),
    `  seed: ${seed}n,`,
    '});',
    "await images?.save('images.png');",
    'await pipeline.close();',
  ].join('\n');
}

function program(body: SampleBody): string {
  if (body.prompt !== undefined) return generatingProgram(body);
  const { model, seed, options, ...others } = body;
  const values = Object.entries({ ...others, ...options }).map(
    ([name, value]) => `  ${name}: ${JSON.stringify(value)},`,
  );
  return [
    "import { DiffusionModel } from 'dpm-native';",
    '',
    `const model = await DiffusionModel.load(${JSON.stringify(model)});`,
    'const { images } = await model.sample({',
    ...values,
    `  seed: ${seed}n,`,
    '});',
    "await images.save('samples.png', { scale: 4 });",
    'await model.close();',
  ].join('\n');
}

function curl(given: SampleBody, origin: string, hasToken: boolean): string {
  // A picture is longer than what one would copy.
  const body = given.image === undefined ? given : { ...given, image: { b64: '...' } };
  return [
    `curl ${origin}/v1/samples --output samples.png`,
    ...(hasToken ? ['--header "Authorization: Bearer $DPM_TOKEN"'] : []),
    "--header 'Accept: image/png'",
    "--header 'Content-Type: application/json'",
    `--data '${JSON.stringify(body).replaceAll("'", String.raw`'\''`)}'`,
  ].join(' \\\n  ');
}

/** The request for the command line, for a program and for curl. */
export function copiesOf(body: SampleBody, origin: string, hasToken: boolean): Copy[] {
  return [
    { name: 'Command line', text: commandLine(body) },
    { name: 'JavaScript', text: program(body) },
    { name: 'curl', text: curl(body, origin, hasToken) },
  ];
}
