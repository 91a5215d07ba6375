// Tests of the page in a browser.
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { type Browser, type BrowserContextOptions, type Locator, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import { DiffusionModel } from 'dpm-native';

import { Server, type ServerConfig } from '../../src/index.js';
import { hasChromium, launchChromium, violationsOf, why } from './chromium.js';

const start = (config: Partial<ServerConfig>): Promise<Server> =>
  Server.start({ models: [{ path: 'mnist', device: 'cpu', rows: 2 }], port: 0, logLevel: 'silent', ...config });

describe.skipIf(!hasChromium)(`the page in a browser${why}`, () => {
  let browser: Browser;
  let model: DiffusionModel;
  let server: Server;
  /** Errors that the pages of a test have reported. */
  let complaints: string[] = [];

  beforeAll(async () => {
    browser = await launchChromium();
    model = await DiffusionModel.load('mnist', { device: 'cpu' });
    server = await start({
      models: [
        { path: 'mnist', device: 'cpu', rows: 2 },
        {
          id: 'classes',
          path: 'test/fixtures/unet/openai-adm-class',
          device: 'cpu',
          rows: 2,
          labels: ['goldfish', '<b>shark</b>'],
        },
      ],
    });
  });
  afterAll(async () => {
    await browser.close();
    await server.stop();
    await model.close();
  });
  afterEach(async () => {
    await Promise.all(browser.contexts().map((context) => context.close()));
    const told = complaints;
    complaints = [];
    expect(told).toEqual([]);
  });

  /** Opens the view of the page that compares samplers. */
  function open(query = '', options: BrowserContextOptions = {}, url = server.url): Promise<Page> {
    const fields = new URLSearchParams(query);
    fields.set('view', 'compare');
    return openView(`?${fields.toString()}`, options, url);
  }

  /** Opens the page. */
  async function openView(query = '', options: BrowserContextOptions = {}, url = server.url): Promise<Page> {
    const context = await browser.newContext(options);
    context.setDefaultTimeout(15_000);
    const page = await context.newPage();
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('console', (message) => {
      // Chromium reports refusals as errors, too, and some tests ask for refusals.
      if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) {
        complaints.push(message.text());
      }
    });
    page.on('request', (request) => {
      const isOwn = request.url().startsWith(url) || request.url().startsWith('data:');
      if (!isOwn) complaints.push(`asked for ${request.url()}`);
    });
    await page.goto(`${url}/${query}`);
    return page;
  }

  const shown = (page: Page): Promise<void> => page.locator('#sampler-1 option').nth(1).waitFor({ state: 'attached' });
  const row = (page: Page, sampler: string): Locator => page.locator(`[data-sampler="${sampler}"]`);
  const inState = (page: Page, sampler: string, state: string): Promise<void> =>
    row(page, sampler).locator('.state', { hasText: state }).waitFor();
  const button = (page: Page, name: string): Locator => page.getByRole('button', { name, exact: true });

  /** The bodies of requests for samples from now on. */
  function postsOf(page: Page): unknown[] {
    const posts: unknown[] = [];
    page.on('request', (request) => {
      if (request.method() === 'POST') posts.push(request.postDataJSON());
    });
    return posts;
  }

  /** The bytes of the result that a row shows. */
  async function resultOf(page: Page, sampler: string): Promise<Buffer> {
    const source = await row(page, sampler)
      .getByRole('img', { name: `${sampler}, result` })
      .getAttribute('src');
    return Buffer.from(source!.replace('data:image/png;base64,', ''), 'base64');
  }

  async function pngOf(sampler: 'ddim' | 'ddpm' | 'unipc', steps: number, seed: number | bigint): Promise<Buffer> {
    const { images } = await model.sample({ sampler, steps, seed, format: 'uint8' });
    return Buffer.from(images.toPng());
  }

  async function run(page: Page, ...samplers: string[]): Promise<void> {
    await button(page, 'Run').click();
    for (const sampler of samplers) await inState(page, sampler, 'done');
  }

  it('runs two samplers with one seed and shows the bytes of the library', async () => {
    const page = await open();
    await shown(page);
    await page.getByLabel('Steps').fill('25');
    await page.getByLabel('Seed').fill('18446744073709551615');
    await page.getByLabel('Sampler 1').selectOption('ddpm');
    await page.getByLabel('Sampler 2').selectOption('unipc');
    await run(page, 'ddpm', 'unipc');
    for (const sampler of ['ddpm', 'unipc'] as const) {
      expect(await resultOf(page, sampler)).toEqual(await pngOf(sampler, 25, 2n ** 64n - 1n));
      const previews = await row(page, sampler).locator('.strip img').all();
      const names = await Promise.all(previews.map((image) => image.getAttribute('alt')));
      expect(names).toEqual([3, 6, 9, 12, 15, 18, 21, 24].map((record) => `${sampler}, record ${record} of 25`));
      const figures = await row(page, sampler).locator('dd').allTextContents();
      expect(figures).toEqual([...Array<unknown>(3).fill(expect.stringMatching(/^\d+(\.\d)? ms$/)), '25']);
      expect(await page.getByRole('status').innerText()).toMatch(new RegExp(`^${sampler} done in \\d+ ms$`, 'm'));
    }
    await expect
      .poll(() => page.locator('#load').innerText())
      .toMatch(/^mnist: 2 rows per step, \d+ rows a second at most, expected wait \d+(\.\d)? ms$/);
    const images = await page.locator('.strip img, .frame img').all();
    const widths = await Promise.all(images.map(async (image) => (await image.boundingBox())!.width));
    expect(widths).toEqual([...Array<number>(8).fill(56), 160, ...Array<number>(8).fill(56), 160]);
    await mkdir('build', { recursive: true });
    await page.screenshot({ path: 'build/page.png', fullPage: true });
  });

  it('draws a seed, and its link gives the same once more', async () => {
    const page = await open('?model=mnist&sampler=ddim&steps=7');
    await shown(page);
    expect(await page.getByLabel('Seed').inputValue()).toBe('');
    await run(page, 'ddim');
    const seed = await page.getByLabel('Seed').inputValue();
    expect(seed).toMatch(/^\d{1,20}$/);
    const first = await resultOf(page, 'ddim');
    expect(first).toEqual(await pngOf('ddim', 7, BigInt(seed)));
    const link = page.url();
    expect(new URL(link).search).toBe(`?model=mnist&sampler=ddim&steps=7&seed=${seed}&view=compare`);
    await page.reload();
    await shown(page);
    expect(await row(page, 'ddim').count()).toBe(0);
    await run(page, 'ddim');
    expect(await resultOf(page, 'ddim')).toEqual(first);
    expect(page.url()).toBe(link);
    await page.getByLabel('Seed').fill('');
    await run(page, 'ddim');
    expect(await page.getByLabel('Seed').inputValue()).not.toBe(seed);
  });

  it('says what a link names that is not there', async () => {
    const page = await open('?model=faces&sampler=ddim&sampler=nothing');
    await shown(page);
    await page.getByText('There is no model faces here').waitFor();
    await page.getByText('mnist has no sampler nothing').waitFor();
    expect(await page.getByLabel('Sampler 1').inputValue()).toBe('ddim');
    expect(await page.getByLabel('Sampler 2').inputValue()).toBe('');
  });

  it('says that a server has no model', async () => {
    const page = await open();
    await shown(page);
    await page.route('**/v1/models', (route) => route.fulfill({ json: { object: 'list', data: [] } }));
    await page.reload();
    await expect.poll(() => page.getByRole('status').innerText()).toBe('No model is loaded');
  });

  it('has class and guidance where the model has classes, by their names', async () => {
    const page = await open();
    await shown(page);
    expect(await page.getByLabel('Class', { exact: true }).isVisible()).toBe(false);
    const asked = page.waitForRequest((request) => request.method() === 'POST');
    await page.getByLabel('Model').selectOption('classes');
    await page.getByLabel('Class', { exact: true }).selectOption({ label: '<b>shark</b>' });
    await page.getByLabel('Guidance').fill('1.5');
    await page.getByLabel('Sampler 1').selectOption('ddim');
    await page.getByLabel('Sampler 2').selectOption('none');
    await page.getByLabel('Steps').fill('4');
    expect(await page.locator('#class option').allTextContents()).toEqual([
      'goldfish',
      '<b>shark</b>',
      ...[2, 3, 4, 5, 6, 7, 8, 9].map((i) => `class ${i}`),
    ]);
    await run(page, 'ddim');
    const body = (await asked).postDataJSON() as object;
    expect(body).toMatchObject({ model: 'classes', classLabels: 1, guidance: 1.5, preview: { every: 1 } });
    expect(new URL(page.url()).searchParams.get('class')).toBe('1');
    await page.reload();
    await shown(page);
    expect(await page.getByLabel('Class', { exact: true }).inputValue()).toBe('1');
    expect(await page.getByLabel('Guidance').inputValue()).toBe('1.5');
    await page.getByLabel('Model').selectOption('mnist');
    await page.getByLabel('Class', { exact: true }).waitFor({ state: 'hidden' });
    await run(page, 'ddim');
    expect(new URL(page.url()).searchParams.has('class')).toBe(false);
  });

  it('runs samplers that have no previews', async () => {
    const page = await open('?sampler=dpm-solver-adaptive&sampler=predictor-corrector&steps=10&seed=1');
    await shown(page);
    await run(page, 'dpm-solver-adaptive', 'predictor-corrector');
    expect(await page.locator('.strip img').count()).toBe(0);
    expect(await page.locator('.frame img').count()).toBe(2);
  });

  it('stops in the middle', async () => {
    const page = await open('?sampler=ddpm&sampler=ddim&steps=1000&seed=1');
    await shown(page);
    await button(page, 'Run').click();
    await row(page, 'ddpm').getByRole('img', { name: 'ddpm, record 125 of 1000' }).waitFor();
    expect(await button(page, 'Run').getAttribute('aria-disabled')).toBe('true');
    await button(page, 'Stop').click();
    await inState(page, 'ddpm', 'stopped');
    await inState(page, 'ddim', 'stopped');
    expect(await page.getByRole('status').innerText()).toBe('Stopped');
    expect(await page.locator('.frame img').count()).toBe(0);
    const cancelled = async (): Promise<string> => (await fetch(`${server.url}/metrics`)).text();
    await expect.poll(cancelled).toMatch(/dpm_requests_total\{model="mnist",outcome="cancelled"\} 2$/m);
    await page.getByLabel('Steps').fill('3');
    await run(page, 'ddpm', 'ddim');
  });

  it('asks every second how busy the model is, while it runs', async () => {
    const page = await open('?sampler=ddim&seed=1');
    await shown(page);
    await page.route('**/v1/samples', () => undefined);
    const asked: number[] = [];
    page.on('request', (request) => {
      if (request.url().endsWith('/v1/models/mnist')) asked.push(performance.now());
    });
    await button(page, 'Run').click();
    await expect.poll(() => asked.length).toBe(3);
    expect(asked[2]! - asked[0]!).toBeGreaterThan(1500);
    await button(page, 'Stop').click();
    await inState(page, 'ddim', 'stopped');
    await page.waitForTimeout(1500);
    expect(asked).toHaveLength(3);
  });

  it('shows what ends a run that had been accepted', async () => {
    const page = await open('?sampler=ddim&sampler=ddpm&seed=1');
    await shown(page);
    const accepted = 'event: accepted\ndata: {"expectedWaitMs":3}\n\n';
    const problem = 'event: error\ndata: {"detail":"the card has failed","status":503,"retryAfterMs":1500}\n\n';
    await page.route('**/v1/samples', (route) =>
      route.fulfill({
        contentType: 'text/event-stream',
        body: route.request().postData()!.includes('"ddim"') ? accepted + problem : accepted,
      }),
    );
    await button(page, 'Run').click();
    await inState(page, 'ddim', 'failed');
    await inState(page, 'ddpm', 'failed');
    expect(await page.locator('.refusal:not(:empty)').allTextContents()).toEqual([
      'the card has failed. Try again in 2 s.',
      'the server ended the stream early.',
    ]);
  });

  describe('of a server with tokens', () => {
    let folder: string;
    let guarded: Server;

    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'page-'));
      const tokens = join(folder, 'tokens.yaml');
      const entry = (name: string, scope: string): string =>
        `- { name: ${name}, sha256: ${createHash('sha256').update(name).digest('hex')}, scopes: [${scope}] }\n`;
      await writeFile(tokens, entry('good-token', 'sample') + entry('other-token', 'metrics'), { mode: 0o600 });
      guarded = await start({ tokens });
    });
    afterAll(async () => {
      await guarded.stop();
      await rm(folder, { recursive: true });
    });

    const fieldOf = (page: Page): Locator => page.getByLabel('Token of this server');

    async function give(page: Page, token: string): Promise<void> {
      await fieldOf(page).fill(token);
      await button(page, 'Use token').click();
    }

    it('asks for a token until it has one, and keeps it in the tab', async () => {
      const page = await open('?sampler=ddim&steps=3&seed=1', {}, guarded.url);
      await page.getByText('the request has no token').waitFor();
      expect(await fieldOf(page).getAttribute('type')).toBe('password');
      await fieldOf(page).fill('bad-token');
      await fieldOf(page).press('Enter');
      await page.getByText('the token is not known').waitFor();
      await give(page, 'other-token');
      await page.getByText("this takes a token with the scope 'sample'").waitFor();
      expect(await violationsOf(page)).toEqual([]);
      await page.screenshot({ path: 'build/page-token.png' });
      await give(page, 'good-token');
      await shown(page);
      expect(await fieldOf(page).isVisible()).toBe(false);
      await run(page, 'ddim');
      expect(await resultOf(page, 'ddim')).toEqual(await pngOf('ddim', 3, 1));
      await page.reload();
      await shown(page);
      await run(page, 'ddim');
      expect(await fieldOf(page).isVisible()).toBe(false);
      expect(page.url()).not.toContain('token');
    });

    it('goes on with a run once it has one', async () => {
      const page = await open('?sampler=ddim&sampler=ddpm&steps=3&seed=1', {}, guarded.url);
      await give(page, 'good-token');
      await shown(page);
      await page.evaluate("sessionStorage.setItem('dpm-token', 'bad-token')");
      await button(page, 'Run').click();
      await give(page, 'good-token');
      await inState(page, 'ddim', 'done');
      await inState(page, 'ddpm', 'done');
    });

    it('asks once, also where a refusal comes late', async () => {
      const page = await open('', {}, guarded.url);
      await give(page, 'good-token');
      await shown(page);
      let isLate = true;
      let release = (): void => undefined;
      const held = new Promise<void>((resolve) => (release = resolve));
      await page.route('**/v1/samplers', async (route) => {
        const wasLate = isLate;
        isLate = false;
        const response = await route.fetch();
        if (wasLate) await held;
        await route.fulfill({ response });
      });
      await page.evaluate('sessionStorage.clear()');
      await page.reload();
      await give(page, 'good-token');
      await fieldOf(page).waitFor({ state: 'hidden' });
      release();
      await shown(page);
      expect(await fieldOf(page).isVisible()).toBe(false);
    });
  });

  it('shows what is refused, and when to come back', async () => {
    await using busy = await start({ maxWait: 500 });
    const page = await open('?sampler=ddim&sampler=ddpm&steps=5&seed=1', {}, busy.url);
    await shown(page);
    const left = new AbortController();
    const body = JSON.stringify({ model: 'mnist', sampler: 'ddpm', steps: 1000, count: 64 });
    const headers = { 'content-type': 'application/json' };
    const url = `${busy.url}/v1/samples`;
    const running = fetch(url, { method: 'POST', headers, body, signal: left.signal }).catch(() => undefined);
    const backlog = async (): Promise<number> => {
      const { batcher } = (await (await fetch(`${busy.url}/v1/models/mnist`)).json()) as {
        batcher: { expectedWaitMs: number };
      };
      return batcher.expectedWaitMs;
    };
    await expect.poll(backlog).toBeGreaterThan(500);
    const answered = page.waitForResponse(
      (response) => response.request().method() === 'POST' && response.request().postData()!.includes('"ddim"'),
    );
    await button(page, 'Run').click();
    await inState(page, 'ddim', 'refused');
    await inState(page, 'ddpm', 'refused');
    const answer = await answered;
    expect(answer.status()).toBe(503);
    const { detail } = (await answer.json()) as { detail: string };
    const seconds = answer.headers()['retry-after'];
    expect(Number(seconds)).toBeGreaterThan(0);
    const again = `Try again in ${seconds} s.`;
    expect(await row(page, 'ddim').locator('.refusal').innerText()).toBe(`${detail}. ${again}`);
    expect(await page.getByRole('status').innerText()).toContain(`ddim refused. ${again}`);
    expect(await violationsOf(page)).toEqual([]);
    await page.screenshot({ path: 'build/page-refused.png', fullPage: true });
    left.abort();
    await running;
  });

  it('shows what is wrong with a field, asked once', async () => {
    const page = await open('?sampler=ddim&steps=5&seed=99999999999999999999');
    await shown(page);
    const posts = postsOf(page);
    await button(page, 'Run').click();
    await inState(page, 'ddim', 'refused');
    expect(await row(page, 'ddim').locator('.refusal').innerText()).toBe('seed has to be from 0 to 2^64 - 1.');
    expect(posts).toHaveLength(1);
  });

  it('says when the server has gone', async () => {
    const gone = await start({});
    const page = await open('?sampler=ddim&seed=1', {}, gone.url);
    await shown(page);
    await gone.stop();
    await button(page, 'Run').click();
    await inState(page, 'ddim', 'failed');
    expect(await row(page, 'ddim').locator('.refusal').innerText()).toBe('the server cannot be reached.');
  });

  it('takes a keyboard alone', async () => {
    const page = await open();
    await shown(page);
    const posts = postsOf(page);
    const focused = (): Promise<string> => page.evaluate<string>('document.activeElement.id');
    const order: string[] = [];
    // Links to the views and the API come first.
    for (let i = 0; i < 3; ++i) await page.keyboard.press('Tab');
    for (let i = 0; i < 9; ++i) {
      await page.keyboard.press('Tab');
      order.push(await focused());
      const outline = await page.evaluate<string>('getComputedStyle(document.activeElement).outlineStyle');
      expect(outline).toBe('solid');
      if (order.at(-1) === 'steps') {
        await page.keyboard.press('Control+a');
        await page.keyboard.type('1000');
      }
      if (order.at(-1) === 'seed') await page.keyboard.type('7');
      if (order.at(-1) === 'sampler-1') await page.keyboard.type('ddpm');
      if (order.at(-1) === 'sampler-2') await page.keyboard.type('none');
    }
    const samplers = [1, 2, 3, 4].map((i) => `sampler-${i}`);
    expect(order).toEqual(['model', 'steps', 'seed', ...samplers, 'run', 'stop']);
    await page.keyboard.press('Shift+Tab');
    await page.keyboard.press('Enter');
    await row(page, 'ddpm').locator('.strip img').first().waitFor();
    expect(await focused()).toBe('run');
    // Another submission during a run does nothing.
    await page.keyboard.press('Enter');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Space');
    await inState(page, 'ddpm', 'stopped');
    expect(await focused()).toBe('stop');
    expect(posts).toHaveLength(1);
    await page.getByLabel('Steps').focus();
    await page.keyboard.press('Control+a');
    await page.keyboard.type('3');
    await page.keyboard.press('Enter');
    await inState(page, 'ddpm', 'done');
    expect(await resultOf(page, 'ddpm')).toEqual(await pngOf('ddpm', 3, 7));
  });

  it('fits into 320 pixels', async () => {
    const page = await open('?sampler=dpm-solver%2B%2B-3m-sde&sampler=ddim&steps=40&seed=1', {
      viewport: { width: 320, height: 640 },
    });
    await shown(page);
    await run(page, 'dpm-solver++-3m-sde', 'ddim');
    expect(await page.locator('.strip img').count()).toBe(16);
    const width = 'document.documentElement.scrollWidth';
    expect(await page.evaluate(width)).toBe(320);
    const inside = `[...document.querySelectorAll('body *')].every((each) => each.getBoundingClientRect().right <= 320)`;
    expect(await page.evaluate(inside)).toBe(true);
    await page.screenshot({ path: 'build/page-320.png', fullPage: true });
    await page.evaluate("document.querySelector('h1').style.width = '400px'");
    expect(await page.evaluate(width)).toBeGreaterThan(320);
  });

  it('moves nothing for those who want no motion', async () => {
    const query = '?sampler=ddim&steps=3&seed=1';
    for (const [reducedMotion, animation] of [
      ['reduce', 'none'],
      ['no-preference', 'appear'],
    ] as const) {
      const page = await open(query, { reducedMotion });
      await shown(page);
      await run(page, 'ddim');
      expect(await page.evaluate("getComputedStyle(document.querySelector('.strip img')).animationName")).toBe(
        animation,
      );
    }
  });

  it('keeps to its policy, of which a breach would be noticed', async () => {
    const page = await open('?sampler=ddim&steps=3&seed=1');
    await shown(page);
    await run(page, 'ddim');
    expect(complaints).toEqual([]);
    await page.evaluate("document.body.append(Object.assign(document.createElement('script'), { text: '1' }))");
    await expect.poll(() => complaints.join()).toMatch(/Content Security Policy/);
    complaints = [];
  });

  it.each([
    ['light', 'rgb(251, 251, 253)'],
    ['dark', 'rgb(19, 19, 22)'],
  ] as const)('is accessible when it is %s', async (colorScheme, ground) => {
    const four = ['ddim', 'unipc', 'ddpm', 'euler'];
    const page = await open(`?model=classes&steps=5&seed=1&sampler=${four.join('&sampler=')}`, { colorScheme });
    await shown(page);
    expect(await violationsOf(page)).toEqual([]);
    await run(page, ...four);
    expect(await page.evaluate('getComputedStyle(document.body).backgroundColor')).toBe(ground);
    expect(await violationsOf(page)).toEqual([]);
    await page.screenshot({ path: `build/page-${colorScheme}.png`, fullPage: true });
    const live = "document.querySelectorAll('[role=status], [role=alert], [role=log], [aria-live]').length";
    expect(await page.evaluate(live)).toBe(1);
    await page.evaluate("document.querySelector('label[for=model]').removeAttribute('for')");
    expect((await violationsOf(page)).join()).toMatch(/select-name/);
  });
});
