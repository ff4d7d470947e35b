// How light and how quick the page is: bytes of a first visit, time until it can be used, layout shift, axe-core's verdict, and
// Lighthouse's where it is installed. A measurement, not a test: `accessibility.mjs` and `a_first_visit_loads_little` hold the bounds.
//
// npm install --prefix /tmp/lighthouse lighthouse
// node lighthouse.mjs [--binary headcast] [--chromium path] [--lighthouse /tmp/lighthouse/node_modules/.bin/lighthouse] [--visits 5]

import { execFile } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { commandLine, createJob, dataFolder, dataFolderWithCube, jobWhen, root, speech, startBrowser, startServer } from './harness.mjs';

const options = commandLine({
  binary: { type: 'string', default: process.env.HEADCAST_BIN ?? join(root, 'target/release/headcast') },
  lighthouse: { type: 'string' },
  visits: { type: 'string', default: '5' },
});
const VISITS = Number(options.visits);
const AXE = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

const data = await dataFolderWithCube(options.binary);
const server = await startServer(options.binary, { data });
const browser = await startBrowser(options.chromium);

const middle = (/** @type {number[]} */ values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

/** Somebody who never was here. */
async function visit(path) {
  const context = await browser.newContext({ locale: 'en-US', viewport: { width: 1440, height: 900 } });
  const page = await context.newPage();
  const network = await context.newCDPSession(page);
  let bytes = 0;
  network.on('Network.loadingFinished', ({ encodedDataLength }) => (bytes += encodedDataLength));
  await network.send('Network.enable');
  await page.addInitScript(() => {
    window.seen = { ready: null, shift: 0 };
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.seen.shift += entry.value;
    }).observe({ type: 'layout-shift', buffered: true });
    new MutationObserver(() => {
      if (document.documentElement?.classList.contains('ready')) window.seen.ready ??= performance.now();
    }).observe(document, { subtree: true, attributes: true, attributeFilter: ['class'] });
  });
  await page.goto(new URL(path, server.url).href);
  await page.waitForFunction(() => window.seen.ready !== null);
  const loaded = bytes;
  // What moves afterwards counts, too.
  await page.waitForTimeout(1500);
  const seen = await page.evaluate(() => window.seen);
  await page.evaluate(`${AXE}; undefined`);
  const { violations, passes } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  await context.close();
  return { bytes: loaded, ready: seen.ready, shift: seen.shift, passes: passes.length, violations: violations.map(({ id, impact }) => `${id} (${impact})`) };
}

async function measure(name, path) {
  const visits = [];
  for (let k = 0; k < VISITS; k += 1) visits.push(await visit(path));
  const of = (/** @type {string} */ field) => middle(visits.map((visit) => visit[field]));
  const { passes, violations } = visits[0];
  console.log(`| ${name} | ${(of('bytes') / 1000).toFixed(0)} kB | ${of('ready').toFixed(0)} ms | ${of('shift').toFixed(4)} | ${passes} rules pass, ${violations.length} do not${violations.length ? `: ${violations.join(', ')}` : ''} |`);
}

async function lighthouse(name, path) {
  const folder = await dataFolder();
  const report = join(folder, 'report.json');
  const args = ['--quiet', '--preset=desktop', '--chrome-flags=--headless --no-sandbox --disable-gpu', '--output=json', `--output-path=${report}`];
  await promisify(execFile)(options.lighthouse, [new URL(path, server.url).href, ...args], { env: { ...process.env, CHROME_PATH: options.chromium } });
  const { categories, audits, lighthouseVersion } = JSON.parse(await readFile(report, 'utf8'));
  const scores = Object.values(categories).map(({ title, score }) => `${title} ${Math.round(100 * score)}`);
  const shown = ['interactive', 'total-blocking-time', 'cumulative-layout-shift', 'total-byte-weight'].map((id) => `${id} ${audits[id].displayValue}`);
  console.log(`Lighthouse ${lighthouseVersion}, ${name}: ${scores.join(', ')}; ${shown.join(', ')}`);
  await rm(folder, { recursive: true, force: true });
}

try {
  const { id } = await createJob(server.url, await speech(1));
  await jobWhen(server.url, id, ({ state }) => state === 'done');
  console.log(`${VISITS} first visits of each, medians\n`);
  console.log('| page | loaded until it can be used | can be used after | layout shift | axe-core |\n|---|---|---|---|---|');
  const pages = { 'the form': '', 'a finished video': `j/${id}` };
  for (const [name, path] of Object.entries(pages)) await measure(name, path);
  if (options.lighthouse) for (const [name, path] of Object.entries(pages)) await lighthouse(name, path);
} finally {
  await browser.close();
  await server.stop();
  await rm(data, { recursive: true, force: true });
}
