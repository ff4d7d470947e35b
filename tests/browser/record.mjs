// Speech from the microphone: recorded, listened to, thrown away, recorded again, and spoken by a face.
//
// node record.mjs [--binary headcast] [--chromium path] [--screenshots folder]

import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  check, checkSoon, commandLine, dataFolderWithCube, finish, jobWhen, openPage, root, shooter, startBrowser, startServer,
} from './harness.mjs';

const options = commandLine();
const PATIENCE = 120_000;
/** A microphone into which somebody speaks the recording of the fixtures, again and again. */
const MICROPHONE = ['--use-fake-device-for-media-stream', `--use-file-for-fake-audio-capture=${join(root, 'fixtures/speech/en.wav')}`];

const data = await dataFolderWithCube(options.binary);
const server = await startServer(options.binary, { data });
const shot = shooter(options);
/** Waits until the page says that it has recorded for `secs`. */
const recorded = (page, secs) =>
  page.waitForFunction((secs) => Number(document.querySelector('#recording-time').textContent.split(':')[1]) >= secs, secs, { timeout: PATIENCE });

async function spoken() {
  console.log('a recording from the microphone');
  const browser = await startBrowser(options.chromium, [...MICROPHONE, '--use-fake-ui-for-media-stream']);
  const { page, troubles, close } = await openPage(browser, server.url, { locale: 'zh-CN', width: 360, height: 740 });
  await page.click('#record');
  await page.waitForSelector('#recording:not([hidden])', { timeout: PATIENCE });
  await page.waitForFunction(() => parseFloat(document.querySelector('#recording-level').style.getPropertyValue('--level')) > 25, null, { timeout: PATIENCE });
  check('the meter moves', true);
  await recorded(page, 1);
  await shot(page, 'recording');
  await page.click('#recording-discard');
  await page.waitForSelector('#record:not([hidden])', { timeout: PATIENCE });
  check('what is discarded is not chosen', (await page.locator('.drop.chosen').count()) === 0);

  await page.click('#record');
  await recorded(page, 3);
  await page.click('#recording-stop');
  await page.waitForSelector('.drop.chosen', { timeout: PATIENCE });
  const title = await page.textContent('#drop-title');
  check('a recording is a file like any other', /^录音 \d{4}-\d\d-\d\d \d\d\.\d\d\.webm$/.test(title), title);
  await page.waitForSelector('#trim-play:not([hidden])', { timeout: PATIENCE });
  check('it can be listened to', true);
  await shot(page, 'recorded');
  await page.click('.face:has(input[value=cube])');
  await page.click('#generate');
  await page.waitForFunction(() => location.pathname.startsWith('/j/'), null, { timeout: PATIENCE });
  const id = new URL(page.url()).pathname.slice('/j/'.length);
  const job = await jobWhen(server.url, id, ({ state }) => state === 'done', PATIENCE);
  // Its container says nothing of its length; the decoder does.
  check('a face speaks it', job.clip.duration_secs > 2.5, `${job.clip.duration_secs} s`);
  await checkSoon('it was Opus', page, () => [...document.querySelectorAll('#log .line')].some((line) => /of Opus/i.test(line.textContent)));
  check('nothing went wrong in the browser', troubles.length === 0, troubles.join('; '));
  await close();
  await browser.close();
}

/** Whoever leaves the form, or turns to a text, is not listened to; what was recorded is there when they come back. */
async function left() {
  console.log('\na form that is left while it listens');
  const browser = await startBrowser(options.chromium, [...MICROPHONE, '--use-fake-ui-for-media-stream']);
  const { page, troubles, close } = await openPage(browser, server.url);
  await page.evaluate(() => {
    const { mediaDevices } = navigator;
    const ask = mediaDevices.getUserMedia.bind(mediaDevices);
    const hears = /** @type {any} */ (globalThis);
    hears.tracks = [];
    mediaDevices.getUserMedia = async (wish) => {
      await hears.permission;
      const stream = await ask(wish);
      hears.tracks.push(...stream.getTracks());
      return stream;
    };
  });
  const silent = () => globalThis.tracks.length > 0 && globalThis.tracks.every((track) => track.readyState === 'ended');
  await page.click('#record');
  await recorded(page, 1);
  check('the control: it listens', !(await page.evaluate(silent)));
  await page.click('label:has(#from-text)');
  await checkSoon('not while a text is written', page, silent);
  await checkSoon('which stays in front', page, () => document.querySelector('#text-part').checkVisibility());
  await page.click('label:has(#from-sound)');
  await checkSoon('what was recorded is there', page, () => /webm$/.test(document.querySelector('#drop-title').textContent));

  await page.click('#record');
  await recorded(page, 1);
  await page.click('#recent-list a');
  await page.waitForSelector('#panel:not([hidden])', { timeout: PATIENCE });
  await checkSoon('nor while a video is watched', page, silent);
  await page.click('#home');
  // Permission that comes when nobody waits for it any more.
  await page.evaluate(() => {
    globalThis.tracks = [];
    globalThis.permission = new Promise((resolve) => (globalThis.permit = resolve));
  });
  await page.click('#record');
  await page.click('label:has(#from-text)');
  await page.evaluate(() => globalThis.permit());
  await checkSoon('nor when the browser is told too late that it may', page, silent);
  check('no recording has begun', !(await page.evaluate(() => document.querySelector('#recording:not([hidden])'))));

  await page.click('label:has(#from-sound)');
  await page.click('#record');
  await recorded(page, 2);
  await page.click('.face:has(input[value=cube])');
  await page.click('#generate');
  await page.waitForFunction(() => location.pathname.startsWith('/j/'), null, { timeout: PATIENCE });
  const job = await jobWhen(server.url, new URL(page.url()).pathname.slice('/j/'.length), ({ clip }) => clip !== null, PATIENCE);
  check('Generate ends a recording, and takes it', job.clip.duration_secs > 1.5 && job.clip.duration_secs < 30, `${job.clip.duration_secs} s`);
  await checkSoon('then nobody listens', page, silent);

  await page.click('#home');
  await page.click('#record');
  await recorded(page, 1);
  const before = await page.textContent('#drop-title');
  await page.evaluate(() => {
    document.querySelector('#drop-title').textContent = '';
    // As it is when a headset is pulled out.
    const track = globalThis.tracks.findLast((track) => track.readyState === 'live');
    track.stop();
    track.dispatchEvent(new Event('ended'));
  });
  await checkSoon('a microphone that goes away leaves what it heard', page, (before) => /webm$/.test(document.querySelector('#drop-title').textContent) && before !== '', before);
  check('nothing went wrong in the browser', troubles.length === 0, troubles.join('; '));
  await close();
  await browser.close();
}

async function refused() {
  console.log('\na microphone that the page may not use');
  const browser = await startBrowser(options.chromium, MICROPHONE);
  const { page, close } = await openPage(browser, server.url);
  await page.click('#record');
  await page.waitForSelector('#composer-trouble:not([hidden])', { timeout: PATIENCE });
  const trouble = await page.textContent('#composer-trouble');
  check('the page says what to do', trouble.includes('Allow it in the address bar'), trouble);
  check('and offers it again', await page.isVisible('#record'));
  await close();
  await browser.close();
}

try {
  await spoken();
  await left();
  await refused();
} catch (error) {
  check(`the test runs to its end: ${error.stack}`, false);
  console.log(server.output().slice(-2000));
} finally {
  await server.stop();
  await rm(data, { recursive: true, force: true });
  finish();
}
