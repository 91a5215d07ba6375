// What users install runs on the oldest Node that is promised: `npm install --engine-strict` has nothing to refuse. The server depends on
// light-my-request for this alone: Fastify would take one whose cookies want Node 22.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

import { expect, it } from 'vitest';

import { packagePath } from '../support/temporary.js';

interface Manifest {
  engines?: { node?: string };
}
interface Locked extends Manifest {
  dev?: boolean;
  devOptional?: boolean;
}

const read = (file: string): unknown => JSON.parse(readFileSync(packagePath(file), 'utf8'));
const semver = createRequire(import.meta.url)('semver') as {
  minVersion(range: string): { version: string };
  satisfies(version: string, range: string): boolean;
};

it.each(['package.json', 'packages/server/package.json'])(
  '%s promises no older Node than its dependencies run on',
  (file) => {
    const { packages } = read('package-lock.json') as { packages: Record<string, Locked> };
    const oldest = semver.minVersion((read(file) as Manifest).engines?.node ?? '').version;
    const installed = Object.entries(packages).filter(
      ([, { dev, devOptional }]) => dev !== true && devOptional !== true,
    );
    expect(installed.length).toBeGreaterThan(50);
    const newer = installed.filter(
      ([, { engines }]) => engines?.node !== undefined && !semver.satisfies(oldest, engines.node),
    );
    expect(newer.map(([name, { engines }]) => `${name} wants ${engines?.node}`)).toEqual([]);
  },
);
