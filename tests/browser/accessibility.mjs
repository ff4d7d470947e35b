// axe-core over every state of the page, in both schemes, both languages and three widths: nothing serious.
//
// node accessibility.mjs [--binary headcast] [--chromium path]

import { execFile } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { promisify } from 'node:util';
import {
  ask, check, commandLine, createJob, dataFolderWithCube, finish, jobWhen, openPage, plays, root, speech, startBrowser, startServer,
} from './harness.mjs';

const options = commandLine();
const PATIENCE = 240_000;
const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const LOOKS = [
  { locale: 'en-US', width: 1440, height: 900, dark: false },
  { locale: 'zh-CN', width: 768, height: 1024, dark: true },
  { locale: 'en-US', width: 360, height: 740, dark: true },
];

const data = await dataFolderWithCube(options.binary);
// An avatar that cannot hear here.
const deaf = join(root, 'fixtures/nerf/er-att0-noind');
await promisify(execFile)(options.binary, [
  'avatar', 'import', '--name', 'eo', '--checkpoint', join(deaf, 'ngp.pth'), '--data', deaf, '--background', 'white', '--data-dir', data,
]);
const server = await startServer(options.binary, { data, args: ['--max-fps', '25', '--assume-fps', '60', '--allow-embed', '*', '--voice-command', 'Robot:en=true {wav}'] });
const browser = await startBrowser(options.chromium);

/** What axe finds that keeps somebody out, one line each. */
async function findings(page) {
  // By the debugger, which the page's own policy does not bind.
  await page.evaluate(`${axe}; undefined`);
  const { violations, passes } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
  return {
    passes: passes.length,
    lines: serious.flatMap(({ id, nodes }) => nodes.map(({ target, any }) => `${id} at ${target.join(' ')}: ${any[0]?.message ?? ''}`)),
    lesser: violations.filter((found) => !serious.includes(found)).map(({ id }) => id),
  };
}

async function looks(page, name) {
  const { passes, lines, lesser } = await findings(page);
  check(`${name}: nothing serious`, passes > 5 && lines.length === 0, [...lines, `${passes} rules passed`, ...lesser.map((id) => `lesser: ${id}`)].join('; '));
}

async function states(look) {
  const name = `${look.width} px, ${look.locale}, ${look.dark ? 'dark' : 'light'}`;
  console.log(`\n${name}`);
  const { page, close } = await openPage(browser, server.url, look);
  await page.waitForSelector('html.ready');
  await looks(page, 'the form');
  await page.click('#more summary');
  await page.setInputFiles('#audio', { name: 'speech.wav', mimeType: 'audio/wav', buffer: await speech(1) });
  await page.waitForSelector('#trim-play:not([hidden])', { timeout: PATIENCE });
  await looks(page, 'the form, filled in');
  await page.check('.face input[value=eo]', { force: true });
  await page.click('#generate');
  await page.waitForSelector('#missing[open]', { timeout: PATIENCE });
  await looks(page, 'a speech model that is missing');
  await page.keyboard.press('Escape');
  await page.click('.source:has(#from-text)');
  await page.fill('#script', 'Good evening. 大家好。');
  await looks(page, 'the form with a text');
  const { id } = await createJob(server.url, await speech(1), { text: 'This is a recording of six seconds.' });
  await page.goto(new URL(`j/${id}`, server.url).href);
  await plays(page, 0.2, PATIENCE);
  await page.keyboard.press('c');
  await looks(page, 'a job that plays while it is rendered');
  await page.keyboard.press('?');
  await page.waitForSelector('#keys[open]');
  await looks(page, 'the list of keys');
  await page.keyboard.press('Escape');
  await jobWhen(server.url, id, ({ state }) => state === 'done', PATIENCE);
  await page.waitForSelector('#download:not([hidden])', { timeout: PATIENCE });
  await looks(page, 'a job that is done');
  const cancelled = await createJob(server.url, await speech(1));
  await ask(server.url, `api/v1/jobs/${cancelled.id}/cancel`, { method: 'POST' });
  await page.goto(new URL(`j/${cancelled.id}`, server.url).href);
  await page.waitForFunction(() => document.querySelector('#panel').dataset.state === 'cancelled', null, { timeout: PATIENCE });
  await looks(page, 'a job that was cancelled');
  await page.goto(new URL(`embed/${id}`, server.url).href);
  await page.waitForSelector('#start:not([hidden])', { timeout: PATIENCE });
  await looks(page, 'the player of another site');
  await close();
}

/** A page that keeps people out is seen to. */
async function control() {
  console.log('\nthe control');
  const { page, close } = await openPage(browser, server.url);
  await page.evaluate(() => {
    document.querySelector('#generate-text').remove();
    document.querySelector('.lead').style.color = '#e8e2d8';
  });
  const { lines } = await findings(page);
  check('a button without a name and pale words are found', lines.some((line) => line.startsWith('button-name')) && lines.some((line) => line.startsWith('color-contrast')), lines.join('; '));
  await close();
}

try {
  for (const look of LOOKS) await states(look);
  await control();
} catch (error) {
  check(`the test runs to its end: ${error.stack}`, false);
} finally {
  await browser.close();
  await server.stop();
  await rm(data, { recursive: true, force: true });
  finish();
}
