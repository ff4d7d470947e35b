// An avatar whose speech model is not on the server: what to download, where to, what to run, and trying again.
//
// node ears.mjs [--binary headcast] [--chromium path] [--screenshots folder]

import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import {
  ask, check, checkSoon, commandLine, dataFolder, finish, jobWhen, openPage, root, shooter, speech, startBrowser, startServer,
} from './harness.mjs';

const options = commandLine();
const PATIENCE = 120_000;
const MODEL = 'cpierse/wav2vec2-large-xlsr-53-esperanto';
const COMMAND = 'headcast features add wav2vec2-large-xlsr-53-esperanto';

const data = await dataFolder();
const headcast = (...words) => promisify(execFile)(options.binary, [...words, '--data-dir', data]);
const subject = join(root, 'fixtures/nerf/er-att0-noind');
await headcast('avatar', 'import', '--name', 'eo', '--checkpoint', join(subject, 'ngp.pth'), '--data', subject, '--background', 'white');
const server = await startServer(options.binary, { data });
const browser = await startBrowser(options.chromium);
const shot = shooter(options);
const wav = { name: 'speech.wav', mimeType: 'audio/wav', buffer: await speech(1) };

const isOpen = () => document.querySelector('#missing').open;
const isClosed = () => !document.querySelector('#missing').open;
const text = (page, selector) => page.textContent(selector);

/** Chooses the avatar and a recording, presses Generate, and waits for the dialog. */
async function isTold(page) {
  await page.waitForSelector('html.ready');
  await page.check('.face input[value=eo]', { force: true });
  await page.setInputFiles('#audio', wav);
  await page.waitForFunction(() => document.querySelector('#drop-title').textContent === 'speech.wav', null, { timeout: PATIENCE });
  await page.focus('#generate');
  await page.keyboard.press('Enter');
  return checkSoon('Generate opens the dialog', page, isOpen);
}

async function whatToDo() {
  console.log('\nwhat to do, in English and Chinese');
  for (const [locale, title, width, dark] of [['en-US', 'A speech model is missing', 1440, false], ['zh-CN', '缺少语音模型', 360, true]]) {
    const { page, close } = await openPage(browser, server.url, { locale, width, height: 800, dark });
    await isTold(page);
    check(`${locale}: it has a title`, (await text(page, '#missing-title')) === title);
    check(`${locale}: it names avatar and model`, (await text(page, '#missing-lead')).includes(MODEL));
    check(`${locale}: it links to the model's page`, (await page.getAttribute('#missing-page', 'href')) === `https://huggingface.co/${MODEL}`);
    const files = await text(page, '#missing-files');
    check(`${locale}: it names the files`, ['config.json', 'preprocessor_config.json', 'model.safetensors', 'pytorch_model.bin'].every((name) => files.includes(name)), files);
    check(`${locale}: and their folder`, (await text(page, '#missing-folder')).includes('wav2vec2-large-xlsr-53-esperanto'));
    check(`${locale}: and the command`, (await page.inputValue('#missing-command')) === COMMAND);
    const { inside, small } = await page.evaluate(() => {
      const dialog = document.querySelector('#missing');
      const targets = [...dialog.querySelectorAll('a, button, input')].map((target) => target.getBoundingClientRect());
      return { inside: dialog.scrollWidth <= dialog.clientWidth, small: targets.filter(({ height }) => height < 43.5).length };
    });
    check(`${locale}: nothing sticks out, nothing is too small to be hit`, inside && small === 0, `${small} small`);
    await shot(page, `dialog-${locale}`);
    await close();
  }
}

async function byKeys() {
  console.log('\nby keys');
  const { page, context, close } = await openPage(browser, server.url);
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await isTold(page);
  const where = () => page.evaluate(() => (document.querySelector('#missing').contains(document.activeElement) ? document.activeElement.id : document.activeElement.tagName));
  const seen = new Set();
  for (let steps = 0; steps < 12; steps += 1) {
    seen.add(await where());
    await page.keyboard.press('Tab');
  }
  const reached = ['missing-close', 'missing-page', 'missing-command', 'missing-copy', 'missing-again'];
  check('Tab goes through the dialog and nowhere else', reached.every((id) => seen.has(id)) && [...seen].every((id) => reached.includes(id) || id === 'BODY' || id === 'missing'), [...seen].join(' '));
  await page.focus('#missing-copy');
  await page.keyboard.press('Enter');
  await checkSoon('the button says that it copied', page, () => document.querySelector('#missing-copy').textContent === 'Copied');
  check('the command is in the clipboard', (await page.evaluate(() => navigator.clipboard.readText())) === COMMAND);
  await page.keyboard.press('Escape');
  await checkSoon('Escape closes it', page, isClosed);
  await checkSoon('the focus is where it was', page, () => document.activeElement?.id === 'generate');
  check('what is wrong stays on the page', (await text(page, '#composer-trouble')).includes(MODEL));
  await close();
}

async function tryingAgain() {
  console.log('\ntrying again');
  const { page, close } = await openPage(browser, server.url);
  await isTold(page);
  await page.click('#missing-again');
  await checkSoon('it is still missing, and the dialog says so', page, () => document.querySelector('#missing').open && document.querySelector('#missing-still').textContent.includes('still missing'));
  await shot(page, 'still');
  check('there is no job yet', (await ask(server.url, 'api/v1/jobs')).length === 0);
  await headcast('features', 'add', join(root, 'fixtures/wav2vec2/ctc-layer'));
  await page.click('#missing-again');
  await page.waitForFunction(() => location.pathname.startsWith('/j/'), null, { timeout: PATIENCE });
  await checkSoon('the dialog is gone', page, isClosed);
  const job = await jobWhen(server.url, new URL(page.url()).pathname.slice('/j/'.length), ({ state }) => state === 'done', PATIENCE);
  check('the same recording is spoken', job.title.includes('speech') && job.clip.duration_secs > 5, `${job.clip.duration_secs} s`);
  const { missing_extractor: missing } = await ask(server.url, 'api/v1/avatars/eo');
  check('nothing is missing any more', missing === null);
  await close();
}

try {
  await whatToDo();
  await byKeys();
  await tryingAgain();
} catch (error) {
  check(`the test runs to its end: ${error.stack}`, false);
} finally {
  await browser.close();
  await server.stop();
  await rm(data, { recursive: true, force: true });
  finish();
}
