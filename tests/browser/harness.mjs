// What the browser tests need: the program, a browser, and counted checks.

import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

let passed = 0;
let failed = 0;

/** Counts and prints one check. */
export function check(what, fine, detail = '') {
  if (fine) passed += 1;
  else failed += 1;
  console.log(`${fine ? 'ok    ' : 'FAILED'} ${what}${detail === '' ? '' : ` (${detail})`}`);
  return fine;
}

/** Prints the count, and makes it the exit status. */
export function finish() {
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
}

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Starts the program with an empty data folder and waits until it answers. */
export async function startServer(binary) {
  const data = await mkdtemp(join(tmpdir(), 'headcast-browser-'));
  const port = await freePort();
  const child = spawn(binary, ['serve', '--port', String(port), '--data-dir', data], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  child.stdout.on('data', (text) => (output += text));
  child.stderr.on('data', (text) => (output += text));
  const url = `http://127.0.0.1:${port}/`;
  const stop = async () => {
    if (child.exitCode === null) {
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGINT');
      await gone;
    }
    await rm(data, { recursive: true, force: true });
  };
  for (let tries = 0; tries < 300; tries += 1) {
    if (child.exitCode !== null) break;
    if (await fetch(`${url}healthz`).then((answer) => answer.ok, () => false)) return { url, stop, output: () => output };
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await stop();
  throw new Error(`${binary} serve did not start:\n${output}`);
}

export function startBrowser(executablePath) {
  return chromium.launch({
    executablePath,
    args: [
      '--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', '--mute-audio',
    ],
  });
}

/** A page that remembers what its video did and everything that went wrong. */
export async function openPage(browser, url, { locale = 'en-US', width = 1440, height = 900, dark = false } = {}) {
  const context = await browser.newContext({
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
    const firstPicture = () => (seen.picture ??= Date.now());
    document.addEventListener('loadeddata', firstPicture, true);
    for (const type of ['playing', 'waiting', 'ended']) {
      document.addEventListener(
        type,
        async (event) => {
          const entry = { type, at: performance.now(), position: event.target.currentTime };
          seen.events.push(entry);
          const id = location.pathname.slice('/j/'.length);
          if (id) entry.job = await fetch(`/api/v1/jobs/${id}`).then((answer) => answer.json());
        },
        true,
      );
    }
  });
  await page.goto(url);
  await page.waitForSelector('.face');
  return { page, troubles, heard, close: () => context.close() };
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
