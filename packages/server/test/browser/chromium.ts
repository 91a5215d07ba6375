// The browser of the tests of the page, and what they find in it.
import { existsSync } from 'node:fs';

import axe from 'axe-core';
import { type Browser, chromium, type Page } from 'playwright-core';

const CHROMIUM = '/usr/bin/chromium';

export const hasChromium = existsSync(CHROMIUM);

/** What the name of a suite ends with that there is no browser for. */
export const why = hasChromium ? '' : ` (skipped: there is no ${CHROMIUM}, apt-get install chromium brings it)`;

export function launchChromium(): Promise<Browser> {
  return chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
}

/** Faults that axe finds in a page. */
export async function violationsOf(page: Page): Promise<string[]> {
  // Transitions are ended first, as colours in between do not count.
  await page.evaluate('Promise.all(document.getAnimations().map(({ finished }) => finished))');
  await page.evaluate(axe.source);
  return page.evaluate<string[]>(
    'axe.run().then(({ violations }) => violations.map(({ id, nodes }) => `${id}: ${nodes[0].html}`))',
  );
}
