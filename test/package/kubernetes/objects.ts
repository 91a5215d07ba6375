// The files of examples/kubernetes as objects, and what Kubernetes and KEDA would say of them.
import { existsSync, readdirSync, readFileSync } from 'node:fs';

import Type, { type Static } from 'typebox';
import { parseAllDocuments } from 'yaml';

import { askPython } from '../../support/python.js';
import { packagePath } from '../../support/temporary.js';

/** An object of Kubernetes, as one reads it here. */
export interface KubernetesObject {
  kind: string;
  metadata: { name: string };
  data?: Record<string, string>;
  spec?: unknown;
}

export interface Container {
  args: string[];
  env: { name: string }[];
  envFrom: { configMapRef?: { name: string }; secretRef?: { name: string } }[];
  ports: { name: string; containerPort: number }[];
  startupProbe: Probe;
  livenessProbe: Probe;
  readinessProbe: Probe;
  lifecycle?: { preStop: { exec: { command: [string, string] } } };
  volumeMounts: { name: string; mountPath: string }[];
  securityContext: object;
}

interface Probe {
  httpGet: { path: string; port: string };
}

type Labels = Record<string, string>;

export interface Deployment {
  selector: { matchLabels: Labels };
  template: {
    metadata: { labels: Labels; annotations: Record<string, string> };
    spec: {
      terminationGracePeriodSeconds: number;
      securityContext: { runAsUser: number; runAsGroup: number; fsGroup?: number };
      containers: [Container];
      volumes: { name: string; secret?: { defaultMode: number } }[];
    };
  };
}

const folder = packagePath('examples/kubernetes');

export const readme = readFileSync(`${folder}/README.md`, 'utf8');
export const dockerfile = readFileSync(`${folder}/Dockerfile`, 'utf8');

/** All objects of the folder. Kubernetes reads YAML as version 1.1 had it. */
export const objects = readdirSync(folder)
  .filter((name) => name.endsWith('.yaml'))
  .flatMap((name) => parseAllDocuments(readFileSync(`${folder}/${name}`, 'utf8'), { version: '1.1', merge: true }))
  .map((document) => document.toJS() as KubernetesObject);

/** The object of a kind and a name. */
export function objectOf(kind: string, name: string): KubernetesObject {
  const found = objects.find((each) => each.kind === kind && each.metadata.name === name);
  if (found === undefined) throw new Error(`there is no ${kind} ${name}`);
  return found;
}

/** True where the schemas of Kubernetes are installed, as `scripts/setup --server` does. */
export const hasSchemas = existsSync(packagePath('.toolchain/kubernetes'));

/** What Kubernetes has against objects, field by field; null for each that is right. */
export function complaintsAbout(values: readonly object[]): (string | null)[] {
  return askPython('kubernetes', 'test/package/kubernetes/validate.py', { request: values }) as (string | null)[];
}

const strict = { additionalProperties: false };
const count = Type.Integer({ minimum: 0 });

/** The fields of KEDA's ScaledObject and of its trigger for Prometheus that the example uses; all of a trigger's are texts. */
export const scaledObjectSchema = Type.Object(
  {
    apiVersion: Type.Literal('keda.sh/v1alpha1'),
    kind: Type.Literal('ScaledObject'),
    metadata: Type.Object({ name: Type.String() }, strict),
    spec: Type.Object(
      {
        scaleTargetRef: Type.Object({ name: Type.String() }, strict),
        pollingInterval: Type.Optional(count),
        cooldownPeriod: Type.Optional(count),
        minReplicaCount: Type.Optional(count),
        maxReplicaCount: Type.Optional(count),
        fallback: Type.Optional(Type.Object({ failureThreshold: count, replicas: count }, strict)),
        triggers: Type.Tuple([
          Type.Object(
            {
              type: Type.Literal('prometheus'),
              metadata: Type.Object(
                {
                  serverAddress: Type.String({ pattern: '^https?://' }),
                  query: Type.String(),
                  threshold: Type.String({ pattern: '^\\d+(\\.\\d+)?$' }),
                  activationThreshold: Type.Optional(Type.String({ pattern: '^\\d+(\\.\\d+)?$' })),
                  ignoreNullValues: Type.Optional(Type.Enum(['true', 'false'])),
                },
                strict,
              ),
            },
            strict,
          ),
        ]),
      },
      strict,
    ),
  },
  strict,
);

export type ScaledObject = Static<typeof scaledObjectSchema>;
