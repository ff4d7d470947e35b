// Whoever opens the address of a job joins it while it is being rendered: a second tab, a second device, after a
// reload, and after the server went away and came back.
//
// node join.mjs [--binary headcast] [--chromium path] [--screenshots folder]

import { rm } from 'node:fs/promises';
import {
  check, checkSoon, commandLine, dataFolderWithCube, finish, jobWhen, openPage, picture, plays, shooter, speech, startBrowser, startServer,
} from './harness.mjs';

const options = commandLine();
const PATIENCE = 240_000;
/** Six seconds each. */
const TIMES = 3;
/**
 * Half the speed of the clip, whatever the machine, so that whoever joins has time to; planned for speed, so that the page
 * shows a first picture early.
 */
const PACE = ['--max-fps', '12', '--assume-fps', '60'];

const data = await dataFolderWithCube(options.binary);
let server = await startServer(options.binary, { data, args: PACE });
const browser = await startBrowser(options.chromium);
const wav = await speech(TIMES);
const shot = shooter(options);
/** Chooses a picture as the background: black on the left, white on the right. */
async function choosePicture(page) {
  await page.evaluate(() => document.querySelector('#more').setAttribute('open', ''));
  await page.selectOption('#background', 'picture');
  await page.evaluate(() => document.querySelector('#generate').click());
  await page.waitForSelector('#composer-trouble:not([hidden])');
  check('without the picture it says so', page.url() === server.url, await page.textContent('#composer-trouble'));
  const url = await page.evaluate(() => {
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [60, 90];
    const context = canvas.getContext('2d');
    context.fillRect(0, 0, 30, 90);
    context.fillStyle = 'white';
    context.fillRect(30, 0, 30, 90);
    return canvas.toDataURL('image/png');
  });
  await page.setInputFiles('#picture', { name: 'halves.png', mimeType: 'image/png', buffer: Buffer.from(url.split(',')[1], 'base64') });
  await page.waitForSelector('#composer-trouble', { state: 'hidden' });
}

/** A page on the way with a job that is being rendered, by the button of the page. */
async function begin({ prepare = async () => {} } = {}) {
  const opened = await openPage(browser, server.url);
  const { page } = opened;
  await page.setInputFiles('#audio', { name: 'speech.wav', mimeType: 'audio/wav', buffer: wav });
  await page.click('.face:has(input[value=cube])');
  await prepare(page);
  await page.click('#generate');
  await page.waitForFunction(() => location.pathname.startsWith('/j/'), null, { timeout: 60_000 });
  const id = new URL(page.url()).pathname.slice('/j/'.length);
  await jobWhen(server.url, id, ({ progress }) => progress.total > 0 && progress.frames > progress.total / 4, PATIENCE);
  return { ...opened, id };
}

/** Waits for the video to play, and looks at everything that a viewer who comes late should see. */
async function joins(name, page, id) {
  const panel = await page
    .waitForFunction(
      () => {
        const made = Number(/^(\d+) \/ \d+$/.exec(document.querySelector('#fact-frames').textContent)?.[1] ?? 0);
        const { state } = document.querySelector('#panel').dataset;
        const lines = [...document.querySelectorAll('#log .line')].map((line) => line.textContent);
        // What was told before anybody joined; lines come one by one.
        const first = lines.find((line) => line.includes(' segment 0:'));
        return made > 0 && first && state === 'rendering' && { made, first };
      },
      null,
      { timeout: PATIENCE },
    )
    .then((found) => found.jsonValue());
  check(`${name}: sees how far it is, and the log from its start`, panel.made > 0, `${panel.made} frames; ${panel.first}`);
  // The page waits until the clip plays through; nobody has to.
  await plays(page, 0.5, PATIENCE);
  const job = await jobWhen(server.url, id, () => true);
  const shown = await picture(page);
  check(`${name}: plays while it is being rendered`, job.state === 'rendering' && shown.variance > 100, `${job.progress.frames} of ${job.progress.total} frames`);
  await shot(page, `join-${name.replaceAll(' ', '-')}`);
}

/** Waits until the video came to its end. */
async function playsOut(name, page, troubles) {
  await page.waitForFunction(() => document.querySelector('#video').ended, null, { timeout: PATIENCE });
  const { currentTime, duration } = await page.evaluate(() => {
    const video = document.querySelector('#video');
    return { currentTime: video.currentTime, duration: video.duration };
  });
  check(`${name}: plays to the end`, Math.abs(currentTime - 6 * TIMES) < 0.1 && Math.abs(duration - 6 * TIMES) < 0.1, `${currentTime.toFixed(2)} s`);
  await page.waitForSelector('#download:not([hidden])', { timeout: 60_000 });
  check(`${name}: nothing went wrong`, troubles.length === 0, troubles.join('; '));
}

async function joining() {
  console.log('joining a job that is being rendered');
  const first = await begin();
  const link = first.page.url();
  const tab = await openPage(browser, link, { context: first.context });
  const device = await openPage(browser, link, { locale: 'zh-CN', width: 360, height: 740, dark: true });
  const old = await openPage(browser, `${server.url}#${first.id}`);
  await first.page.reload();
  const all = [
    ['after a reload', first],
    ['second tab', tab],
    ['second device', device],
    ['older link', old],
  ];
  await Promise.all(all.map(([name, { page }]) => joins(name, page, first.id)));
  check('an older link becomes the present one', old.page.url() === link);
  await Promise.all(all.map(([name, { page, troubles }]) => playsOut(name, page, troubles)));
  for (const [, { close }] of all.reverse()) await close();
}

/** Whether the video itself says that the connection is lost. */
const saysLost = (wanted) => ['#screen-connection', '#hold-text'].some((id) => {
  const part = document.querySelector(id);
  return part.checkVisibility() && part.textContent.startsWith('Connection lost');
}) === wanted;

async function restarted() {
  console.log('\njoining a job whose server was stopped half-way');
  const { page, troubles, id, close } = await begin({ prepare: choosePicture });
  await plays(page, 0.5, PATIENCE);
  const before = await jobWhen(server.url, id, () => true);
  const framed = await openPage(browser, `${server.url}embed/${id}`);
  await framed.page.waitForFunction(() => document.querySelector('#screen').dataset.mode !== 'idle', null, { timeout: PATIENCE });
  const { port } = server;
  await server.stop({ keep: true, signal: 'SIGKILL' });
  await page.waitForSelector('#connection:not([hidden])', { timeout: 30_000 });
  check('the page says that the server is gone', true);
  await shot(page, 'join-server-gone');
  await checkSoon('so does the player alone', framed.page, saysLost, true);
  await shot(framed.page, 'join-embedded-gone');
  server = await startServer(options.binary, { data, port, args: PACE });
  await page.waitForSelector('#connection', { state: 'hidden', timeout: 30_000 });
  const after = await jobWhen(server.url, id, () => true);
  await checkSoon('and that it is back', framed.page, saysLost, false);
  await framed.close();
  check('the job goes on', after.state === 'rendering' && after.clip.ready.length > 0, `${before.progress.frames} frames before, ${after.progress.frames} after`);
  // What the browser itself says of a server that is not there is no trouble of the page.
  const gone = troubles.splice(0).filter((text) => !/ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_SOCKET/.test(text));
  check('only the connection was complained of', gone.length === 0, gone.join('; '));

  const late = await openPage(browser, page.url());
  await joins('after a restart', late.page, id);
  // The avatar's own background is white.
  const { grey } = await picture(late.page);
  check('the picture behind it survived', grey[0] < 60 && grey[63] > 200, `${grey[0].toFixed(0)} and ${grey[63].toFixed(0)}`);
  await Promise.all([playsOut('the page from before', page, troubles), playsOut('after a restart', late.page, late.troubles)]);
  await late.close();
  await close();
}

/** A computer that slept, or a line that broke in silence, is told of nothing: the page has to notice by itself. */
async function silent() {
  console.log('\na line on which nothing is heard');
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  await context.clock.install();
  const { page } = await openPage(browser, server.url, { context });
  const connected = () => document.querySelector('#connection').hidden;
  // The server says something every 15 seconds, and here it does not.
  server.signal('SIGSTOP');
  try {
    await page.clock.fastForward(46_000);
    await checkSoon('the page notices that the server is silent', page, () => !document.querySelector('#connection').hidden);
  } finally {
    server.signal('SIGCONT');
  }
  await checkSoon('and comes back to it', page, connected);
  for (const [what, target, event] of [['looked at again', 'document', 'visibilitychange'], ['with a network again', 'window', 'online']]) {
    const another = page.waitForEvent('websocket', { timeout: 30_000 });
    // In one breath, so that no news come between.
    await page.evaluate(([target, event]) => {
      const now = Date.now;
      Date.now = () => now() + 30_000;
      (target === 'window' ? window : document).dispatchEvent(new Event(event));
      Date.now = now;
    }, [target, event]);
    check(`${what} after half a minute, it connects at once`, await another.then(() => true, () => false));
    await checkSoon('and is there', page, connected);
  }
  await context.close();
}

try {
  await joining();
  await silent();
  await restarted();
} finally {
  await browser.close();
  await server.stop();
  await rm(data, { recursive: true, force: true });
  finish();
}
