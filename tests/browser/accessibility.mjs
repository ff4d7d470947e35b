// axe-core over the states of the page that are named below, each in both languages and both schemes, and at three widths:
// nothing serious.
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
/** The whole of it, or what most people see. */
const LOOKS = [
  { locale: 'en-US', width: 1440, height: 900, dark: false, whole: true },
  { locale: 'zh-CN', width: 360, height: 740, dark: true, whole: true },
  { locale: 'zh-CN', width: 768, height: 1024, dark: false },
  { locale: 'en-US', width: 360, height: 740, dark: true },
];

/** Half the speed of the clip, so that it is waited for. */
const PACE = ['--max-fps', '12', '--assume-fps', '60'];

const data = await dataFolderWithCube(options.binary);
// An avatar that cannot hear here.
const deaf = join(root, 'fixtures/nerf/er-att0-noind');
await promisify(execFile)(options.binary, [
  'avatar', 'import', '--name', 'eo', '--checkpoint', join(deaf, 'ngp.pth'), '--data', deaf, '--background', 'white', '--data-dir', data,
]);
const server = await startServer(options.binary, { data, args: [...PACE, '--allow-embed', '*', '--voice-command', 'Mute:en=false {wav}'] });
const browser = await startBrowser(options.chromium, ['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream']);
const wav = await speech(1);
const visit = (page, path) => page.goto(new URL(path, server.url).href);
/** Without looking for it first: what moves is hit, too. */
const press = (page, selector) => page.evaluate((selector) => document.querySelector(selector).click(), selector);

/** A job for each end that one can come to, and one that is not over before the last look. */
async function makeJobs() {
  const text = 'This is a recording of six seconds.';
  const done = await createJob(server.url, wav, { text });
  const cancelled = await createJob(server.url, wav);
  await ask(server.url, `api/v1/jobs/${cancelled.id}/cancel`, { method: 'POST' });
  const headers = { 'content-type': 'application/json' };
  const failed = await ask(server.url, 'api/v1/jobs', { method: 'POST', headers, body: JSON.stringify({ text, voice: 'Mute', avatar: 'cube' }) });
  const long = await createJob(server.url, await speech(60), { text });
  await jobWhen(server.url, done.id, ({ state }) => state === 'done', PATIENCE);
  return { done: done.id, cancelled: cancelled.id, failed: failed.id, long: long.id };
}

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

/** One look at one state after the other. The page is left at a job that is being rendered. */
async function states(look) {
  const name = `${look.width} px, ${look.locale}, ${look.dark ? 'dark' : 'light'}`;
  console.log(`\n${name}`);
  const { page } = await openPage(browser, server.url, look);
  await page.waitForSelector('html.ready');
  await looks(page, 'the form');
  await press(page, '#generate');
  await page.waitForSelector('#composer-trouble:not([hidden])', { timeout: PATIENCE });
  await looks(page, 'the form without a recording');
  await page.click('#more summary');
  await page.setInputFiles('#audio', { name: 'speech.wav', mimeType: 'audio/wav', buffer: wav });
  await page.waitForSelector('#trim-play:not([hidden])', { timeout: PATIENCE });
  await looks(page, 'the form, filled in');
  await page.check('.face input[value=eo]', { force: true });
  await press(page, '#generate');
  await page.waitForSelector('#missing[open]', { timeout: PATIENCE });
  await looks(page, 'a speech model that is missing');
  await page.keyboard.press('Escape');
  if (look.whole) await ofTheForm(page);
  await page.click('.source:has(#from-text)');
  await page.fill('#script', 'Good evening. 大家好。');
  await looks(page, 'the form with a text');

  await visit(page, `j/${jobs.long}`);
  await page.waitForSelector('#play-now:not([hidden])', { timeout: PATIENCE });
  await looks(page, 'a job that is waited for');
  await plays(page, 0.2, PATIENCE);
  await page.keyboard.press('c');
  await looks(page, 'a job that plays while it is rendered');
  await page.keyboard.press('?');
  await page.waitForSelector('#keys[open]');
  await looks(page, 'the list of keys');
  await page.keyboard.press('Escape');
  await visit(page, `j/${jobs.done}`);
  await page.waitForSelector('#download:not([hidden])', { timeout: PATIENCE });
  await looks(page, 'a job that is done');
  if (look.whole) {
    await press(page, '#rename');
    await page.waitForSelector('input.rename', { timeout: PATIENCE });
    await looks(page, 'another name for it');
  }
  for (const state of ['cancelled', 'failed']) {
    await visit(page, `j/${jobs[state]}`);
    await page.waitForFunction((state) => document.querySelector('#panel').dataset.state === state, state, { timeout: PATIENCE });
    await looks(page, `a job that was ${state}`);
  }
  await visit(page, `embed/${jobs.done}`);
  await page.waitForSelector('#start:not([hidden])', { timeout: PATIENCE });
  await looks(page, 'the player of another site');
  await visit(page, `embed/${jobs.failed}`);
  await page.waitForSelector('#screen-trouble:not([hidden])', { timeout: PATIENCE });
  await looks(page, 'what went wrong, there');
  await visit(page, `j/${jobs.long}`);
  await page.waitForSelector('#hold:not([hidden])', { timeout: PATIENCE });
  return page;
}

/** What the form has beside the way from a file to a video. */
async function ofTheForm(page) {
  await page.setInputFiles('#audio', { name: 'unknown.wav', mimeType: 'audio/wav', buffer: Buffer.from('No browser can decode this.') });
  await page.waitForSelector('#trim-fields:not([hidden])', { timeout: PATIENCE });
  await looks(page, 'a part of a recording, in fields');
  await press(page, '#record');
  await page.waitForSelector('#recording:not([hidden])', { timeout: PATIENCE });
  await looks(page, 'a recording that is being made');
  await press(page, '#recording-discard');
  await page.evaluate(() => (document.querySelector('#avatars').open = true));
  await page.setInputFiles('#avatar-folder', join(root, 'fixtures/nerf/er-torso'));
  await page.waitForSelector('.check', { timeout: PATIENCE });
  await page.waitForSelector('#avatar-working', { state: 'hidden', timeout: PATIENCE });
  await looks(page, 'the avatars, and what is in a folder');
  await press(page, '#avatar-clear');
  await press(page, '.avatar-row[data-name=eo] .avatar-delete');
  await page.waitForSelector('.avatar-sure', { timeout: PATIENCE });
  await looks(page, 'the question before an avatar is deleted');
  await press(page, '.avatar-keep');
  await page.waitForSelector('#recent-list li', { timeout: PATIENCE });
  await press(page, '#recent-list li:last-child button:last-child');
  await page.waitForSelector('#undo:not([hidden])', { timeout: PATIENCE });
  await looks(page, 'a video that can be brought back');
  await press(page, '#undo-button');
}

/** The server goes away. */
async function gone(pages) {
  console.log('\nwithout the server');
  await server.stop({ keep: true });
  for (const page of pages) {
    await page.waitForSelector('#connection:not([hidden])', { timeout: PATIENCE });
    await looks(page, `a lost connection, ${await page.evaluate(() => `${innerWidth} px`)}`);
  }
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

let jobs;
try {
  jobs = await makeJobs();
  const pages = [];
  for (const look of LOOKS) pages.push(await states(look));
  await control();
  await gone(pages);
} catch (error) {
  check(`the test runs to its end: ${error.stack}`, false);
} finally {
  await browser.close();
  await server.stop();
  await rm(data, { recursive: true, force: true });
  finish();
}
