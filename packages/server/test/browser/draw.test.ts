// Tests of the views that draw and show jobs, in a browser.
import { mkdtempSync } from 'node:fs';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { type Browser, type BrowserContext, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import { DiffusionModel, ImageBatch, TextToImage } from 'dpm-native';

import { Server } from '../../src/index.js';
import { hasChromium, launchChromium, violationsOf, why } from './chromium.js';

describe.skipIf(!hasChromium)(`the page as a playground${why}`, () => {
  let browser: Browser;
  let model: DiffusionModel;
  let server: Server;
  let complaints: string[] = [];
  const spool = mkdtempSync(join(tmpdir(), 'page-spool-'));

  beforeAll(async () => {
    browser = await launchChromium();
    model = await DiffusionModel.load('mnist', { device: 'cpu' });
    server = await Server.start({
      models: [
        { path: 'mnist', device: 'cpu', rows: 2 },
        {
          ...{ id: 'words', path: 'test/fixtures/latent/sd1', device: 'cpu', sizes: ['16x16'] },
          ...{ loras: { style: 'test/fixtures/latent/sd1/lora/kohya.safetensors' } },
          preview: 'test/fixtures/latent/taesd',
        },
        { id: 'classes', path: 'test/fixtures/unet/openai-adm-class', device: 'cpu', rows: 2, labels: ['goldfish'] },
      ],
      spool,
      port: 0,
      logLevel: 'silent',
    });
    await mkdir('build', { recursive: true });
  });
  afterAll(async () => {
    await browser.close();
    await server.stop();
    await model.close();
    await rm(spool, { recursive: true });
  });
  afterEach(async () => {
    await Promise.all(browser.contexts().map((context) => context.close()));
    const told = complaints;
    complaints = [];
    expect(told).toEqual([]);
  });

  async function openIn(context: BrowserContext, query: string): Promise<Page> {
    context.setDefaultTimeout(15_000);
    const page = await context.newPage();
    page.on('pageerror', (error) => complaints.push(error.message));
    await page.goto(`${server.url}/${query}`);
    await page.locator('#run-form').waitFor();
    await page.locator('#model-hint').waitFor();
    return page;
  }
  const open = async (query = '', options = {}): Promise<Page> => openIn(await browser.newContext(options), query);

  async function draw(page: Page): Promise<void> {
    await page.locator('#run').click();
    await page.locator('.drawing .state', { hasText: /^done$/ }).waitFor();
  }

  /** The bytes of a picture that is shown. */
  async function bytesOf(page: Page, name: string): Promise<Buffer> {
    const source = await page.getByAltText(name, { exact: true }).first().getAttribute('src');
    return Buffer.from(source!.replace('data:image/png;base64,', ''), 'base64');
  }

  it('draws several samples, with options of the sampler, to the bytes of the library', async () => {
    const page = await open();
    await page.getByLabel('Sampler').selectOption('ddim');
    await page.getByLabel('Steps', { exact: true }).fill('6');
    await page.getByLabel('Count').fill('3');
    await page.getByLabel('Seed').fill('7');
    await page.getByText('Options of ddim').click();
    await page.getByLabel('eta', { exact: true }).fill('0.5');
    await page.getByLabel('trajectory', { exact: true }).selectOption('quadratic');
    const asked = page.waitForRequest((request) => request.method() === 'POST');
    await draw(page);
    expect((await asked).postDataJSON()).toEqual({
      ...{ model: 'mnist', sampler: 'ddim', seed: '7', steps: 6, count: 3 },
      options: { eta: 0.5, trajectory: 'quadratic' },
      preview: { every: 1, of: 'prediction' },
    });
    const { images } = await model.sample({
      ...{ sampler: 'ddim', steps: 6, seed: 7, count: 3, eta: 0.5, trajectory: 'quadratic', format: 'uint8' },
    });
    for (const [index, image] of [...images].entries()) {
      expect(await bytesOf(page, `ddim, seed 7, sample ${index}`)).toEqual(Buffer.from(image.toPng()));
    }
    expect(new URL(page.url()).search).toBe(
      '?model=mnist&sampler=ddim&steps=6&seed=7&count=3&options.eta=0.5&options.trajectory=quadratic',
    );
    expect(await page.locator('dd').last().innerText()).toBe('18');
    await page.reload();
    await page.locator('#model-hint').waitFor();
    await page.getByText('Options of ddim').click();
    expect(await page.getByLabel('eta', { exact: true }).inputValue()).toBe('0.5');
  });

  it('forgets the options of another sampler', async () => {
    const page = await open('?sampler=ddim&options.eta=0.5&seed=1&steps=2');
    await page.getByLabel('Sampler').selectOption('unipc');
    const asked = page.waitForRequest((request) => request.method() === 'POST');
    await draw(page);
    expect((await asked).postDataJSON()).not.toHaveProperty('options');
  });

  it('shows previews of few samples, and none of many', async () => {
    const page = await open('?sampler=ddpm&steps=1000&count=4&seed=1');
    await page.locator('#run').click();
    await page.getByAltText('ddpm, seed 1, sample 1, record 125').waitFor();
    expect(await page.locator('.drawing .state').innerText()).toMatch(/^\d+ of 4000 steps, .*, about .* left$/);
    expect(Number(await page.getByRole('progressbar', { name: 'Progress' }).getAttribute('value'))).toBeGreaterThan(0);
    await page.locator('#stop').click();
    await page.locator('.drawing .state', { hasText: 'stopped' }).waitFor();
    await page.getByLabel('Steps', { exact: true }).fill('5');
    await page.getByLabel('Count').fill('9');
    const asked = page.waitForRequest((request) => request.method() === 'POST');
    await draw(page);
    expect((await asked).postDataJSON()).not.toHaveProperty('preview');
    expect(await page.locator('.pictures img').count()).toBe(9);
  });

  it('shows a picture large, its neighbours, and hands it out as a file', async () => {
    const page = await open('?sampler=ddim&steps=3&count=3&seed=2');
    await draw(page);
    await page.getByRole('button', { name: 'ddim, seed 2, sample 2' }).click();
    const dialog = page.getByRole('dialog');
    expect(await dialog.getAttribute('aria-label')).toBe('ddim, seed 2, sample 2');
    const box = await dialog.getByRole('img').boundingBox();
    expect(box!.width).toBeGreaterThan(300);
    expect(await violationsOf(page)).toEqual([]);
    const [download] = await Promise.all([page.waitForEvent('download'), dialog.getByText('Download').click()]);
    expect(download.suggestedFilename()).toBe('mnist-ddim-2-2.png');
    expect(await readFile(await download.path())).toEqual(await bytesOf(page, 'ddim, seed 2, sample 2'));
    await page.keyboard.press('ArrowRight');
    expect(await dialog.getAttribute('aria-label')).toBe('ddim, seed 2, sample 0');
    await page.keyboard.press('ArrowLeft');
    expect(await dialog.getAttribute('aria-label')).toBe('ddim, seed 2, sample 2');
    await page.keyboard.press('ArrowRight');
    await dialog.getByText('Previous').click();
    expect(await dialog.getAttribute('aria-label')).toBe('ddim, seed 2, sample 2');
    await page.keyboard.press('Escape');
    expect(await dialog.count()).toBe(0);
  });

  it('says the same as code, and copies it', async () => {
    const context = await browser.newContext({ permissions: ['clipboard-read', 'clipboard-write'] });
    const page = await openIn(context, '?model=classes&class=1&guidance=2&sampler=ddim&steps=3&count=2&seed=5');
    await page.getByText('Options of ddim').click();
    await page.getByLabel('clippedNoise', { exact: true }).selectOption('true');
    await draw(page);
    await page.getByText('As code').click();
    const codes = await page.locator('.copies pre').allTextContents();
    expect(codes[0]).toBe(
      'npx dpm sample classes --sampler ddim --steps 3 --count 2 --seed 5 --class 1 --guidance 2 --clipped-noise',
    );
    expect(codes[1]).toContain('  classLabels: 1,\n  guidance: 2,\n  clippedNoise: true,\n  seed: 5n,\n');
    expect(codes[2]).toContain(`curl ${server.url}/v1/samples --output samples.png`);
    expect(codes[2]).toContain('"options":{"clippedNoise":true}');
    await page.getByRole('button', { name: 'Copy: curl' }).click();
    await page.getByRole('button', { name: 'Copied: curl' }).waitFor();
    expect(await page.evaluate('navigator.clipboard.readText()')).toBe(codes[2]);
  });

  it('remembers runs, which can be opened again and forgotten', async () => {
    const page = await open('?sampler=ddim&steps=3&count=1&seed=5');
    await draw(page);
    await page.getByLabel('Seed').fill('6');
    await draw(page);
    const earlier = page.locator('.earlier img');
    const names = await Promise.all((await earlier.all()).map((image) => image.getAttribute('alt')));
    expect(names).toEqual([6, 5].map((seed) => `Same again with mnist, ddim, seed ${seed}`));
    await earlier.last().click();
    await page.waitForURL(/seed=5/);
    await page.locator('#model-hint').waitFor();
    expect(await page.getByLabel('Seed').inputValue()).toBe('5');
    await page.getByRole('button', { name: 'Forget them' }).click();
    expect(await earlier.count()).toBe(0);
    await page.reload();
    await page.locator('#model-hint').waitFor();
    expect(await page.locator('.earlier img').count()).toBe(0);
  });

  it('remembers the link that a run began with', async () => {
    const page = await open('?sampler=ddim&steps=40&count=1&seed=5');
    await page.locator('#run').click();
    await page.getByRole('link', { name: 'Compare' }).click();
    await page.getByRole('link', { name: 'Draw' }).click();
    await page.locator('.earlier a').waitFor();
    expect(await page.locator('.earlier a').getAttribute('href')).toBe(
      '?model=mnist&sampler=ddim&steps=40&seed=5&count=1',
    );
  });

  it('sends nothing of another model, nor options of another sampler', async () => {
    const page = await open('?sampler=ddim&steps=2&count=1&seed=5&options.eta=0.5');
    const bodies: unknown[] = [];
    page.on('request', (request) => {
      if (request.method() === 'POST') bodies.push(request.postDataJSON());
    });
    await page.route('**/v1/models/classes', async (route) => {
      await new Promise((resolve) => setTimeout(resolve, 500));
      await route.continue();
    });
    await page.getByLabel('Model').selectOption('classes');
    await page.locator('#run').click();
    await page.getByLabel('Class', { exact: true }).waitFor();
    expect(bodies).toEqual([]);
    await page.getByRole('link', { name: 'Compare' }).click();
    await page.getByLabel('Sampler 1').selectOption('kdpm2');
    await page.getByRole('link', { name: 'Draw' }).click();
    await draw(page);
    expect(bodies).toHaveLength(1);
    expect(bodies[0]).toMatchObject({ model: 'classes', sampler: 'kdpm2', classLabels: 0 });
    expect(bodies[0]).not.toHaveProperty('options');
  });

  it('goes back to the model that it has where another one is not described', async () => {
    const page = await open('?sampler=ddim&steps=2&count=1&seed=5');
    await page.route('**/v1/models/classes', (route) => route.fulfill({ status: 429, json: { detail: 'too many' } }));
    await page.getByLabel('Model').selectOption('classes');
    await page.getByText('too many').waitFor();
    expect(await page.getByLabel('Model').inputValue()).toBe('mnist');
    await draw(page);
  });

  it('draws by the adaptive flow, which takes no steps', async () => {
    const page = await open('?sampler=probability-flow&steps=25&count=1&seed=5&options.solver=rk45');
    const asked = page.waitForRequest((request) => request.method() === 'POST');
    await draw(page);
    expect((await asked).postDataJSON()).not.toHaveProperty('steps');
  });

  it('passes over what else lies where runs are remembered', async () => {
    const page = await open();
    for (const kept of ['{', '7', '[{"query":1}]', '[{"query":"","title":"x","picture":"javascript:1"}]']) {
      await page.evaluate(`localStorage.setItem('dpm-history', ${JSON.stringify(kept)})`);
      await page.reload();
      await page.locator('#model-hint').waitFor();
      expect(await page.locator('.earlier img').count()).toBe(0);
    }
  });

  it('starts a job, shows how it goes, and cancels one', async () => {
    const page = await open('?sampler=ddim&steps=3&count=4&seed=9');
    await page.getByRole('button', { name: 'Start as a job' }).dblclick();
    const row = page.locator('.job');
    await row.locator('.state', { hasText: 'done: 4 of 4 samples' }).waitFor();
    expect(new URL(page.url()).searchParams.get('view')).toBe('jobs');
    expect(await row.locator('h3').allInnerTexts()).toEqual(['mnist, ddim, seed 9']);
    await row.getByRole('img').waitFor();
    expect(await row.getByRole('button').count()).toBe(0);
    expect(await violationsOf(page)).toEqual([]);
    await page.screenshot({ path: 'build/page-jobs.png', fullPage: true });
    const body = JSON.stringify({ model: 'mnist', sampler: 'ddpm', steps: 1000, count: 640, seed: 1 });
    await fetch(`${server.url}/v1/jobs`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
    await page.getByRole('link', { name: 'Draw' }).click();
    // A server that does not answer once is asked again.
    let refused = 0;
    await page.route('**/v1/jobs', (route) => (++refused === 2 ? route.abort() : route.continue()));
    await page.getByRole('link', { name: 'Jobs' }).click();
    await expect.poll(() => refused, { timeout: 10_000 }).toBeGreaterThan(3);
    await page.getByRole('button', { name: 'Cancel' }).click();
    await page.locator('.state', { hasText: /^cancelled/ }).waitFor();
  });

  it('turns to the pages of older jobs, and back', async () => {
    const page = await open();
    const job = (id: string): object => ({
      ...{ id, state: 'done', done: 0, total: 1, failedChunks: [], createdAt: new Date(0).toISOString() },
      ...{ expectedSeconds: null, model: 'mnist', sampler: 'ddim', seed: id },
    });
    const pages: Record<string, object> = {
      '': { data: [job('3')], next: 'to/2' },
      '?cursor=to%2F2': { data: [job('2')], next: 'to/1' },
      '?cursor=to%2F1': { data: [], next: null },
    };
    await page.route(
      (url) => url.pathname === '/v1/jobs',
      (route) => route.fulfill({ json: pages[new URL(route.request().url()).search] }),
    );
    const shown = (): Promise<string[]> => page.locator('.job h3').allInnerTexts();
    const turn = async (name: string, jobs: string[]): Promise<void> => {
      await page.getByRole('button', { name }).click();
      await expect.poll(shown).toEqual(jobs.map((seed) => `mnist, ddim, seed ${seed}`));
    };
    await page.getByRole('link', { name: 'Jobs' }).click();
    await expect.poll(shown).toEqual(['mnist, ddim, seed 3']);
    expect(await page.getByRole('button', { name: 'Newest jobs' }).count()).toBe(0);
    await turn('Older jobs', ['2']);
    expect(await violationsOf(page)).toEqual([]);
    await turn('Older jobs', []);
    expect(await page.getByRole('button', { name: 'Older jobs' }).count()).toBe(0);
    await turn('Newest jobs', ['3']);
  });

  it('has a view of jobs where the server takes them alone', async () => {
    await using other = await Server.start({
      models: [{ path: 'mnist', device: 'cpu', rows: 1 }],
      port: 0,
      logLevel: 'silent',
    });
    const page = await open();
    await page.getByRole('link', { name: 'Jobs' }).waitFor();
    await page.goto(other.url);
    await page.locator('#model-hint').waitFor();
    await page.waitForTimeout(300);
    expect(await page.getByRole('link', { name: 'Jobs' }).count()).toBe(0);
    expect(await page.getByRole('button', { name: 'Start as a job' }).count()).toBe(0);
  });

  it('explores the API at /docs', async () => {
    const page = await (await browser.newContext()).newPage();
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text());
    });
    page.on('request', (request) => {
      if (!/^(data:|blob:)/.test(request.url()) && !request.url().startsWith(server.url))
        complaints.push(request.url());
    });
    await page.goto(`${server.url}/docs`);
    await page.getByText('/v1/samples').first().click();
    await page.getByRole('button', { name: 'Execute' }).first().waitFor();
    await page.screenshot({ path: 'build/page-docs.png' });
  });

  it.each([360, 768, 1280])('fits into %i pixels, by the keyboard, without a fault', async (width) => {
    for (const colorScheme of ['light', 'dark'] as const) {
      const query = '?model=classes&sampler=dpm-solver%2B%2B-3m-sde&steps=3&count=5&seed=1';
      const page = await open(query, { viewport: { width, height: 800 }, colorScheme });
      expect(await violationsOf(page)).toEqual([]);
      await page.getByLabel('Seed').focus();
      await page.keyboard.press('Enter');
      await page.locator('.drawing .state', { hasText: /^done$/ }).waitFor();
      await page.getByText('As code').focus();
      await page.keyboard.press('Enter');
      expect(await violationsOf(page)).toEqual([]);
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width);
      await page.getByRole('button', { name: 'sample 4' }).focus();
      await page.keyboard.press('Enter');
      await page.getByRole('dialog').waitFor();
      const right = await page.evaluate<number>(
        "document.querySelector('dialog').getBoundingClientRect().right - document.documentElement.clientWidth",
      );
      expect(right).toBeLessThanOrEqual(0);
      await page.keyboard.press('Escape');
      await page.screenshot({ path: `build/page-draw-${width}-${colorScheme}.png`, fullPage: true });
    }
  });

  it('draws texts, from a picture too, and links to them', async () => {
    const page = await open('?model=words&sampler=ddim&steps=3&seed=7&count=1', {
      viewport: { width: 768, height: 1000 },
    });
    await page.locator('#prompt').fill('a cat');
    await page.locator('#negative').fill('a dog');
    await page.locator('#size').selectOption('16x16');
    await page.locator('#lora').selectOption('style');
    await page.locator('#guidance').fill('3');
    await draw(page);
    expect(await violationsOf(page)).toEqual([]);
    await page.screenshot({ path: 'build/page-words.png', fullPage: true });
    const pipeline = await TextToImage.load('test/fixtures/latent/sd1', {
      ...{ device: 'cpu', loras: [{ path: 'test/fixtures/latent/sd1/lora/kohya.safetensors' }] },
    });
    const own = { prompt: 'a cat', negativePrompt: 'a dog', guidance: 3, sampler: 'ddim', steps: 3, seed: 7 } as const;
    const name = 'ddim, seed 7, sample 0';
    const drawn = await ImageBatch.decode(await bytesOf(page, name));
    const { images } = await pipeline.generate({ ...own, height: 16, width: 16 });
    expect(drawn.toUint8()).toEqual(images!.toUint8());
    expect(new URL(page.url()).search).toContain('prompt=a+cat&negative=a+dog&size=16x16&lora=style&guidance=3');
    await page
      .locator('#image')
      .setInputFiles({ name: 'x.png', mimeType: 'image/png', buffer: Buffer.from(images!.toPng()) });
    await page.locator('#strength').fill('0.5');
    await draw(page);
    // The picture that was sent has grey levels.
    const levels = await ImageBatch.decode(images!.toPng());
    const expected = await pipeline.generate({ ...own, image: levels, strength: 0.5 });
    expect((await ImageBatch.decode(await bytesOf(page, name))).toUint8()).toEqual(expected.images!.toUint8());
    await page.locator('#model').selectOption('mnist');
    await page.locator('#prompt').waitFor({ state: 'detached' });
    await page.locator('#model').selectOption('words');
    // A pipeline says how many steps it wants.
    await expect.poll(() => page.locator('#steps').inputValue()).toBe('50');
    await pipeline.close();
  });
});
