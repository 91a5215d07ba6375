// Tests of examples/kubernetes: Kubernetes and KEDA take its files, and what they name of the product is there.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { parse } from 'yaml';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';

import { parseCall } from '../../../lib/cli/parser.js';
import { commands } from '../../../lib/cli/registry.js';
import { codeBlocks } from '../../support/documents.js';
import { packagePath } from '../../support/temporary.js';
import { mismatchOf } from '../../../packages/server/src/base/schema.js';
import { settingsOf } from '../../../packages/server/src/config/config.js';
import { givenFields } from '../../../packages/server/src/config/flag.js';
import { settingsFields, type Settings } from '../../../packages/server/src/config/settings.js';
import { isOpenToOthers } from '../../../packages/server/src/http/tokens.js';
import { Server } from '../../../packages/server/src/index.js';
import { writeTokens } from '../../../packages/server/test/support.js';
import {
  complaintsAbout,
  dockerfile,
  hasSchemas,
  objectOf,
  objects,
  readme,
  scaledObjectSchema,
  type Container,
  type Deployment,
  type ScaledObject,
} from './objects.js';

const parts = ['server', 'worker'] as const;
type Part = (typeof parts)[number];

const deploymentOf = (part: Part): Deployment => objectOf('Deployment', `dpm-${part}`).spec as Deployment;
const podOf = (part: Part): Deployment['template']['spec'] => deploymentOf(part).template.spec;
const containerOf = (part: Part): Container => podOf(part).containers[0];
const scaledObject = objectOf('ScaledObject', 'dpm-worker') as unknown as ScaledObject;

/** A copy in which a text is another one. */
function withMistake<T extends object>(value: T, right: string, wrong: string): T {
  const text = JSON.stringify(value);
  expect(text).toContain(right);
  return JSON.parse(text.replace(right, wrong)) as T;
}

if (!hasSchemas) {
  it('Kubernetes', ({ skip }) => {
    skip('skipped: no schemas of Kubernetes (scripts/setup --server)');
  });
}

describe.skipIf(!hasSchemas)('Kubernetes', () => {
  const core = objects.filter(({ kind }) => kind !== 'ScaledObject');

  it('takes all objects', () => {
    expect(core.map(({ kind }) => kind).sort()).toEqual([
      'ConfigMap',
      'Deployment',
      'Deployment',
      'PodDisruptionBudget',
      'PodDisruptionBudget',
      'Service',
    ]);
    expect(complaintsAbout(core)).toEqual(core.map(() => null));
  });

  it.each([
    ['Deployment', 'dpm-server', '"readinessProbe"', '"readinesProbe"', 'readinesProbe'],
    ['Deployment', 'dpm-worker', '"periodSeconds":10', '"periodSeconds":"10"', 'periodSeconds'],
    ['Deployment', 'dpm-server', '"containerPort":8080', '"port":8080', 'port'],
    ['PodDisruptionBudget', 'dpm-worker', '"maxUnavailable"', '"maxUnavailble"', 'maxUnavailble'],
    ['ConfigMap', 'dpm', '"avx2"', '2', 'DPM_CPU_ISA'],
  ])('refuses a %s %s with %s as %s', (kind, name, right, wrong, field) => {
    const [complaint] = complaintsAbout([withMistake(objectOf(kind, name), right, wrong)]);
    expect(complaint).toContain(field);
  });
});

describe('KEDA', () => {
  it('takes its object', () => {
    expect(mismatchOf(scaledObjectSchema, scaledObject)).toBeUndefined();
  });

  it.each([
    ['"minReplicaCount"', '"minReplicas"'],
    ['"threshold":"300"', '"threshold":300'],
    ['"serverAddress"', '"server"'],
    ['"fallback":{"failureThreshold":4,', '"fallback":{'],
  ])('refuses %s as %s', (right, wrong) => {
    expect(mismatchOf(scaledObjectSchema, withMistake(scaledObject, right, wrong))).toBeDefined();
  });

  it('scales the workers by what the documents say', () => {
    const [{ metadata }] = scaledObject.spec.triggers;
    const documented = codeBlocks('docs/jobs.md')
      .filter(({ language }) => language === 'yaml')
      .map(({ code }) => parse(code) as { triggers: [{ metadata: { query: string } }] });
    expect(documented.map(({ triggers }) => triggers[0].metadata.query)).toEqual([metadata.query]);
    expect(objects.filter(({ kind }) => kind === 'Deployment').map((each) => each.metadata.name)).toContain(
      scaledObject.spec.scaleTargetRef.name,
    );
    // Otherwise each time that the file is applied there would be as many as it says.
    expect(deploymentOf('worker')).not.toHaveProperty('replicas');
  });
});

/** The keys and values of the README's command for the secret. */
const secrets = [...readme.matchAll(/--from-literal=(\w+)=(\S+)/g)].map(
  ([, name = '', value = '']) => [name, value] as const,
);

/** What pods have in their environment, from the ConfigMap and the secret. */
const variables: Readonly<Record<string, string>> = {
  ...objectOf('ConfigMap', 'dpm').data,
  ...Object.fromEntries(secrets),
};

/** The settings of a container: its arguments as `dpm` reads them. */
async function settingsFrom({ args }: Pick<Container, 'args'>): Promise<Settings> {
  const [name = '', ...rest] = args.map((each) =>
    each.replace(/\$\((\w+)\)/g, (_, variable: string) => variables[variable] ?? `missing ${variable}`),
  );
  const command = await commands[name]!();
  if ('commands' in command) throw new Error(`${name} is a group`);
  const call = parseCall(command, rest, new AbortController().signal)!;
  const models = call.positionals.map((path) => ({ path }));
  return settingsOf({ ...givenFields(settingsFields, call.options), models });
}

describe.each(parts)('the %s', (part) => {
  it('is told what dpm takes', async () => {
    const container = containerOf(part);
    const settings = await settingsFrom(container);
    const { DPM_QUEUE: queue = 'none', DPM_RESULTS: results = 'none' } = variables;
    expect(settings).toMatchObject({ host: '0.0.0.0', queue, results });
    const mounts = container.volumeMounts.map(({ mountPath }) => mountPath);
    if (settings.tokens !== undefined) expect(mounts).toContain(settings.tokens.replace(/\/[^/]+$/, ''));
    const wrong = container.args.map((each) => each.replace('--drain=', '--drains='));
    await expect(settingsFrom({ args: wrong })).rejects.toMatchObject({ code: 'ERR_DPM_USAGE' });
  });

  it('may read its tokens, as Kubernetes mounts them', async () => {
    const { volumes, securityContext } = podOf(part);
    const secret = volumes.flatMap(({ secret: mounted }) => mounted ?? []);
    const { tokens } = await settingsFrom(containerOf(part));
    expect(secret).toHaveLength(tokens === undefined ? 0 : 1);
    const user = vi.spyOn(process, 'getuid').mockReturnValue(securityContext.runAsUser);
    onTestFinished(() => {
      user.mockRestore();
    });
    // The files are root's and of the group fsGroup, which the user has.
    for (const { defaultMode } of secret) {
      expect(isOpenToOthers({ uid: 0, mode: defaultMode })).toBe(false);
      expect(securityContext.fsGroup).toBe(securityContext.runAsGroup);
      expect(defaultMode & 0o040).toBeGreaterThan(0);
    }
  });

  it('has the ports where it listens', async () => {
    const { port, metricsPort } = await settingsFrom(containerOf(part));
    const { ports, startupProbe, livenessProbe, readinessProbe } = containerOf(part);
    expect(ports).toEqual([
      { name: 'http', containerPort: port },
      { name: 'metrics', containerPort: metricsPort },
    ]);
    expect(deploymentOf(part).template.metadata.annotations).toEqual({
      'prometheus.io/scrape': 'true',
      'prometheus.io/port': String(metricsPort),
    });
    for (const { httpGet } of [startupProbe, livenessProbe, readinessProbe]) expect(httpGet.port).toBe('http');
  });

  it('has time to end', async () => {
    const { drain } = await settingsFrom(containerOf(part));
    const [command = 'sleep', seconds = '0'] = containerOf(part).lifecycle?.preStop.exec.command ?? [];
    expect(command).toBe('sleep');
    expect(podOf(part).terminationGracePeriodSeconds).toBeGreaterThanOrEqual(Number(seconds) + drain / 1000 + 10);
  });

  it('has variables that the product knows', () => {
    const documented = readFileSync(packagePath('docs/environment.md'), 'utf8');
    const { args, env, envFrom } = containerOf(part);
    const used = (name: string): boolean => args.some((each) => each.includes(`$(${name})`));
    const names = [...Object.keys(variables), ...env.map(({ name }) => name)].filter((each) => each.startsWith('DPM_'));
    expect(names.length).toBe(5);
    for (const name of names) expect([name, used(name) || documented.includes(`\`${name}\``)]).toEqual([name, true]);
    expect(envFrom).toEqual([{ configMapRef: { name: 'dpm' } }, { secretRef: { name: 'dpm' } }]);
    expect(readme).toContain('create secret generic dpm ');
  });

  it('is found by what selects it', () => {
    const { selector, template } = deploymentOf(part);
    const budget = objectOf('PodDisruptionBudget', `dpm-${part}`).spec as Pick<Deployment, 'selector'>;
    expect(template.metadata.labels).toEqual({ app: 'dpm', part });
    expect(selector.matchLabels).toEqual(template.metadata.labels);
    expect(budget.selector).toEqual(selector);
  });

  it('is nobody on its node', () => {
    const { securityContext, containers, volumes } = podOf(part);
    expect(securityContext).toMatchObject({ runAsNonRoot: true, runAsUser: 1000 });
    expect(dockerfile).toContain('\nUSER 1000:1000\n');
    const names = volumes.map(({ name }) => name);
    for (const each of containers) {
      expect(each.securityContext).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      });
      expect(names).toEqual(expect.arrayContaining(each.volumeMounts.map(({ name }) => name)));
    }
  });
});

describe('what the files name', () => {
  let folder: string;
  let server: Server;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'kubernetes-'));
    server = await Server.start({
      models: [{ path: 'mnist', device: 'cpu', rows: 1 }],
      port: 0,
      metricsPort: 0,
      logLevel: 'silent',
      tokens: await writeTokens(folder, 'any'),
      spool: join(folder, 'spool'),
    });
  });
  afterAll(async () => {
    await server.stop();
    rmSync(folder, { recursive: true });
  });

  it('is answered to probes, without a token', async () => {
    const probes = parts
      .map(containerOf)
      .flatMap((each) => [each.startupProbe, each.livenessProbe, each.readinessProbe]);
    for (const { httpGet } of probes) expect((await fetch(server.url + httpGet.path)).status).toBe(200);
  });

  it('is measured', async () => {
    const told = await (await fetch(server.metricsUrl!)).text();
    const texts = [scaledObject.spec.triggers[0].metadata.query, readme];
    const names = new Set(texts.flatMap((text) => text.match(/\bdpm_[a-z_]+/g) ?? []));
    expect([...names]).toEqual(['dpm_jobs_backlog_seconds']);
    for (const name of names) expect(told).toMatch(new RegExp(`^# TYPE ${name} gauge$`, 'm'));
  });

  it('is in the image', () => {
    const read = (path: string): Record<string, Record<string, string>> =>
      JSON.parse(readFileSync(packagePath(path), 'utf8')) as Record<string, Record<string, string>>;
    const [, listed = ''] = /npm install --omit=dev (.*)/.exec(dockerfile) ?? [];
    const own = ['dpm-native', 'dpm-native-server', '@opentelemetry/api'];
    const optional = Object.keys(read('packages/server/package.json').peerDependencies!);
    expect(
      listed
        .split(' ')
        .filter((each) => !own.includes(each))
        .sort(),
    ).toEqual(optional.filter((each) => !own.includes(each)).sort());
    expect(dockerfile).toContain(`"node_modules/dpm-native/${read('package.json').bin!.dpm!.replace('./', '')}"`);
  });

  it('is served by a port of the server', () => {
    const { selector, ports } = objectOf('Service', 'dpm').spec as {
      selector: object;
      ports: [{ targetPort: string }];
    };
    expect(selector).toEqual(deploymentOf('server').selector.matchLabels);
    expect(containerOf('server').ports.map(({ name }) => name)).toContain(ports[0].targetPort);
  });

  it('is explained, file by file', () => {
    const names = [...readme.matchAll(/^\| \[([\w.]+)\]\(\1\)/gm)].map(([, name]) => name);
    expect(names).toEqual(['Dockerfile', 'settings.yaml', 'server.yaml', 'worker.yaml', 'scaling.yaml']);
  });
});
