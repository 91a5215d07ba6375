// Links from shipped files to shipped files: pictures and pages exist in the unpacked package.
import { readFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { dirname, join, normalize } from 'node:path';

import { expect, it } from 'vitest';

import { packagePath } from '../support/temporary.js';

const manifest = JSON.parse(readFileSync(packagePath('package.json'), 'utf8')) as { files: string[] };
const always = ['package.json', 'README.md', 'LICENSE'];
const tracked = execFileSync('git', ['ls-files', '-co', '--exclude-standard'], {
  cwd: packagePath('.'),
  encoding: 'utf8',
})
  .trim()
  .split('\n');
const shipped = new Set(
  tracked.filter(
    (file) => always.includes(file) || manifest.files.some((each) => file === each || file.startsWith(`${each}/`)),
  ),
);

/** Relative links of a page, without their anchors. */
function linksOf(page: string): string[] {
  const text = readFileSync(packagePath(page), 'utf8');
  return [...text.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)]
    .map(([, target = '']) => target)
    .filter((target) => !/^[a-z]+:/.test(target))
    .map((target) => normalize(join(dirname(page), target)));
}

/** Tells whether the package has a file or folder of this name. */
function isShipped(target: string): boolean {
  return shipped.has(target) || [...shipped].some((file) => file.startsWith(`${target}/`));
}

it('the pages of the package link to files of the package', () => {
  const pages = [...shipped].filter((file) => file.endsWith('.md'));
  expect(pages).toEqual(expect.arrayContaining(['README.md', 'CHANGELOG.md', 'SECURITY.md', 'docs/samplers.md']));
  const links = pages.flatMap((page) => linksOf(page).map((target) => ({ page, target })));
  expect(links.length).toBeGreaterThan(20);
  expect(links.filter(({ target }) => !isShipped(target))).toEqual([]);
  expect(isShipped('ARCHITECTURE.md')).toBe(false);
});
