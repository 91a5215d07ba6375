import type { SampleBody } from './fields.js';

/** A request in other words. */
export interface Copy {
  readonly name: string;
  readonly text: string;
}

const flagOf = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

function commandLine({ model, sampler, seed, steps, count, classLabels, guidance, options = {} }: SampleBody): string {
  const given: [string, unknown][] = Object.entries({ sampler, steps, count, seed, class: classLabels, guidance });
  const own = Object.entries(options).map(([name, value]) => [flagOf(name), value] as const);
  const flags = [...given, ...own]
    .filter(([, value]) => value !== undefined && value !== false)
    .map(([name, value]) => (value === true ? `--${name}` : `--${name} ${String(value)}`));
  return ['npx dpm sample', model, ...flags].join(' ');
}

function program({ model, seed, options, ...others }: SampleBody): string {
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

function curl(body: SampleBody, origin: string, hasToken: boolean): string {
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
