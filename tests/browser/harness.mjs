// What the browser tests need: the program, a browser, and counted checks.

import { execFile, spawn } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { chromium } from 'playwright-core';

export const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
export const sleep = (millis) => new Promise((resolve) => setTimeout(resolve, millis));

/** What a test was started with: the program, the browser, where pictures of the page go, and options of its own. */
export const commandLine = (own = {}) =>
  parseArgs({
    options: {
      binary: { type: 'string', default: process.env.HEADCAST_BIN ?? join(root, 'target/debug/headcast') },
      chromium: { type: 'string', default: process.env.CHROMIUM ?? '/usr/bin/chromium' },
      screenshots: { type: 'string' },
      ...own,
    },
  }).values;

/** Takes pictures of whole pages, named after the test, where they are asked for. */
export function shooter({ screenshots }) {
  const test = basename(process.argv[1], '.mjs');
  return async (page, name) => {
    if (!screenshots) return;
    await mkdir(screenshots, { recursive: true });
    await page.screenshot({ path: join(screenshots, `${test}-${name}.png`), fullPage: true });
  };
}

let passed = 0;
let failed = 0;
let skipped = 0;

/** Counts and prints one check. */
export function check(what, fine, detail = '') {
  if (fine) passed += 1;
  else failed += 1;
  console.log(`${fine ? 'ok    ' : 'FAILED'} ${what}${detail === '' ? '' : ` (${detail})`}`);
  return fine;
}

/** Counts and prints what is to become true in a page by and by: it may be a minute late on a busy machine. */
export async function checkSoon(what, page, condition, argument = null) {
  const fine = await page.waitForFunction(condition, argument, { timeout: 60_000 }).then(() => true, () => false);
  return check(what, fine);
}

/** Says what cannot be checked for want of a tool; a failure where tools are required. */
export function skip(what, tool) {
  const required = (process.env.HEADCAST_REQUIRE_TOOLS ?? '0') !== '0' && process.env.HEADCAST_REQUIRE_TOOLS !== '';
  if (required) {
    check(what, false, `needs ${tool}, which is not here, and HEADCAST_REQUIRE_TOOLS is set`);
    return;
  }
  skipped += 1;
  console.log(`SKIPPED: ${what}: ${tool} is not here`);
}

/** Prints the count, and makes it the exit status. */
export function finish() {
  console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
  process.exitCode = failed === 0 && passed + skipped > 0 ? 0 : 1;
}

/** A port of the loopback that nobody listens on. */
export async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** An empty data folder. */
export const dataFolder = () => mkdtemp(join(tmpdir(), 'headcast-browser-'));

/** A data folder with the avatar `cube` of 64x64 pixels, or of another size: it costs a renderer next to nothing. */
export async function dataFolderWithCube(binary, side = 64) {
  const data = await dataFolder();
  const fixture = join(root, 'fixtures/nerf/er-torso');
  const subject = join(data, 'subject');
  await mkdir(subject);
  const camera = JSON.parse(await readFile(join(fixture, 'transforms_train.json'), 'utf8'));
  const scale = side / (2 * camera.cx);
  for (const key of ['focal_len', 'cx', 'cy']) camera[key] *= scale;
  await writeFile(join(subject, 'transforms_train.json'), JSON.stringify(camera));
  await copyFile(join(fixture, 'au.csv'), join(subject, 'au.csv'));
  const from = ['--checkpoint', join(fixture, 'ngp.pth'), '--data', subject, '--background', 'white'];
  await promisify(execFile)(binary, ['avatar', 'import', '--name', 'cube', ...from, '--data-dir', data]);
  return data;
}

/**
 * Starts the program and waits until it answers. `stop` ends it as Ctrl-C does, and deletes its data unless told to
 * keep them for the next start.
 */
export async function startServer(binary, { args = [], data = null, port = null, env = {} } = {}) {
  data ??= await dataFolder();
  port ??= await freePort();
  const child = spawn(binary, ['serve', '--port', String(port), '--data-dir', data, ...args], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
  let output = '';
  child.stdout.on('data', (text) => (output += text));
  child.stderr.on('data', (text) => (output += text));
  const url = `http://127.0.0.1:${port}/`;
  const stop = async ({ keep = false, signal = 'SIGINT' } = {}) => {
    if (child.exitCode === null && child.signalCode === null) {
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill(signal);
      await gone;
    }
    if (!keep) await rm(data, { recursive: true, force: true });
  };
  for (let tries = 0; tries < 300; tries += 1) {
    if (child.exitCode !== null) break;
    if (await fetch(`${url}healthz`).then((answer) => answer.ok, () => false)) {
      return { url, port, data, stop, output: () => output, signal: (name) => child.kill(name) };
    }
    await sleep(100);
  }
  await stop();
  throw new Error(`${binary} serve did not start:\n${output}`);
}

/** The English recording of the fixtures, `times` times in a row: six seconds each. */
export async function speech(times) {
  const wav = await readFile(join(root, 'fixtures/speech/en.wav'));
  const sound = wav.subarray(44);
  const head = Buffer.from(wav.subarray(0, 44));
  head.writeUInt32LE(36 + times * sound.length, 4);
  head.writeUInt32LE(times * sound.length, 40);
  return Buffer.concat([head, ...Array(times).fill(sound)]);
}

/** What the server says of one address, as JSON. */
export async function ask(url, path, options) {
  const answer = await fetch(new URL(path, url), options);
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer.status === 204 ? null : answer.json();
}

/** A new job: the avatar `cube` says `wav`. */
export function createJob(url, wav, { avatar = 'cube', name = 'speech.wav', features = null, text = null, body = '' } = {}) {
  const form = new FormData();
  form.set('avatar', avatar);
  if (features) form.set('features', new Blob([features]), 'features.npy');
  if (text) form.set('text', text);
  if (body) form.set('body', body);
  form.set('audio', new Blob([wav]), name);
  return ask(url, 'api/v1/jobs', { method: 'POST', body: form });
}

/** The job once `is` says yes to it; an error when it never will. */
export async function jobWhen(url, id, is, patience = 300_000) {
  const end = Date.now() + patience;
  for (;;) {
    const job = await ask(url, `api/v1/jobs/${id}`);
    if (is(job)) return job;
    const over = ['done', 'failed', 'cancelled'].includes(job.state);
    if (over || Date.now() > end) throw new Error(`the job did not get there: ${JSON.stringify(job)}`);
    await sleep(50);
  }
}

export function startBrowser(executablePath, more = []) {
  return chromium.launch({
    executablePath,
    args: [
      '--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', '--mute-audio', ...more,
    ],
  });
}

/** A page that remembers what its video did and everything that went wrong; of a device of its own, or in `context`. */
export async function openPage(browser, url, { locale = 'en-US', width = 1440, height = 900, dark = false, context = null } = {}) {
  const own = context === null;
  context ??= await browser.newContext({
    locale,
    viewport: { width, height },
    colorScheme: dark ? 'dark' : 'light',
  });
  const page = await context.newPage();
  const troubles = [];
  /** When the server first told of a finished segment, in milliseconds since 1970. */
  const heard = { ready: null };
  page.on('websocket', (socket) =>
    socket.on('framereceived', ({ payload }) => {
      if (heard.ready === null && JSON.parse(String(payload)).type === 'ready') heard.ready = Date.now();
    }),
  );
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') troubles.push(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => troubles.push(`exception: ${error.message}`));
  page.on('response', (answer) => {
    if (answer.status() >= 400) troubles.push(`${answer.status()} ${answer.url()}`);
  });
  await page.addInitScript(() => {
    const seen = { events: [], shift: 0 };
    window.seen = seen;
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) if (!entry.hadRecentInput) seen.shift += entry.value;
    }).observe({ type: 'layout-shift', buffered: true });
    const jobNow = async () => {
      const id = /^\/(?:j|embed)\/(\w+)$/.exec(location.pathname)?.[1];
      return id ? fetch(`/api/v1/jobs/${id}`).then((answer) => answer.json()) : undefined;
    };
    document.addEventListener(
      'loadeddata',
      async (event) => {
        // A recording that is listened to and the preview of a face are loaded, too.
        if (event.target.id !== 'video' || seen.picture) return;
        seen.picture = Date.now();
        seen.pictured = await jobNow();
      },
      true,
    );
    for (const type of ['playing', 'waiting', 'ended']) {
      document.addEventListener(
        type,
        async (event) => {
          const entry = { type, at: performance.now(), position: event.target.currentTime };
          seen.events.push(entry);
          entry.job = await jobNow();
        },
        true,
      );
    }
  });
  await page.goto(url);
  await page.waitForSelector('.face', { state: 'attached' });
  return { page, context, troubles, heard, close: () => (own ? context.close() : page.close()) };
}

/**
 * Begins to play if the page leaves that to the viewer, and waits until the video is `beyond` so many seconds. The page may
 * begin by itself at any moment, so its buttons are looked at and pressed in one breath.
 */
export async function plays(page, beyond, timeout) {
  await page.waitForFunction(
    (position) => {
      for (const id of ['#play-now', '#start']) {
        const button = document.querySelector(id);
        if (button.checkVisibility()) button.click();
      }
      return document.querySelector('#video').currentTime > position;
    },
    beyond,
    { timeout },
  );
}

/** Brightness of the video's present picture: mean, variance, and the pixels to compare with another. */
export function picture(page) {
  return page.evaluate(() => {
    const video = document.querySelector('#video');
    const canvas = document.createElement('canvas');
    canvas.width = 64;
    canvas.height = 64;
    const context = canvas.getContext('2d');
    context.drawImage(video, 0, 0, 64, 64);
    const { data } = context.getImageData(0, 0, 64, 64);
    const grey = [];
    for (let i = 0; i < data.length; i += 4) grey.push((data[i] + data[i + 1] + data[i + 2]) / 3);
    const mean = grey.reduce((a, b) => a + b) / grey.length;
    const variance = grey.reduce((sum, value) => sum + (value - mean) ** 2, 0) / grey.length;
    return { mean, variance, grey };
  });
}
