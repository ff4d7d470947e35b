// The page of a job whose frames come from outside: it plays what is sent while it is sent, and what there is of it when
// the program that makes the frames breaks.
//
// node pushed.mjs [--binary headcast] [--chromium path] [--screenshots folder]

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { ask, check, checkSoon, commandLine, finish, jobWhen, openPage, plays, root, shooter, sleep, startBrowser, startServer } from './harness.mjs';

const options = commandLine();
const PATIENCE = 120_000;
const [WIDTH, HEIGHT, FPS, TOTAL] = [128, 96, 25, 150];
/** Between two frames: a program that is a little slower than the clip. */
const PAUSE = 50;

/** The levels that frame `index` has in its left and in its right half. */
const levels = (index) => [40 + index, 215 - index];

function frame(index) {
  const [left, right] = levels(index);
  const row = Buffer.alloc(WIDTH * 3, right).fill(left, 0, (WIDTH / 2) * 3);
  return Buffer.concat(Array(HEIGHT).fill(row));
}

const server = await startServer(options.binary);
const browser = await startBrowser(options.chromium);
const shot = shooter(options);

/** Opens the page of a job, and notes which picture is shown when. */
async function watch(url) {
  const opened = await openPage(browser, url);
  await opened.page.evaluate(() => {
    const video = document.querySelector('#video');
    const canvas = document.createElement('canvas');
    const context = canvas.getContext('2d', { willReadFrequently: true });
    window.shown = [];
    const look = (_now, { mediaTime }) => {
      context.drawImage(video, 0, 0, 64, 64);
      const level = (x) => context.getImageData(x, 32, 1, 1).data[1];
      window.shown.push({ time: mediaTime, levels: [level(16), level(48)] });
      video.requestVideoFrameCallback(look);
    };
    video.requestVideoFrameCallback(look);
  });
  return opened;
}

/** How far the shown pictures are from those that were sent for their time, in levels: the worst of them. */
const worst = (shown, shift = 0) =>
  Math.max(...shown.map(({ time, levels: found }) => {
    const sent = levels(Math.round(time * FPS) + shift);
    return Math.max(...found.map((level, i) => Math.abs(level - sent[i])));
  }));

async function looksLikeWhatWasSent(page, seconds) {
  const shown = await page.evaluate(() => window.shown);
  // A busy machine leaves pictures out; those that are shown are the ones of their time.
  const covered = new Set(shown.map(({ time }) => Math.floor(time)));
  check('pictures of the whole clip are shown', covered.size >= Math.floor(seconds) && shown.length > 20, `${shown.length} pictures`);
  check('they are those that were sent', worst(shown) < 10, `${worst(shown)} levels off at most`);
  check('and would be seen not to be', worst(shown, FPS) > 15, `${worst(shown, FPS)} levels for those of a second later`);
}

async function ended(page) {
  await page.waitForFunction(() => document.querySelector('#video').ended, null, { timeout: PATIENCE });
  return page.evaluate(() => document.querySelector('#video').duration);
}

async function piped() {
  console.log('frames through `headcast pipe --job`');
  const audio = join(root, 'fixtures/speech/en.wav');
  const size = `${WIDTH}x${HEIGHT}`;
  const pipe = spawn(options.binary, ['pipe', '--size', size, '--audio', audio, '--job', server.url], { stdio: ['pipe', 'pipe', 'pipe'] });
  let said = '';
  pipe.stderr.on('data', (text) => (said += text));
  const gone = once(pipe, 'exit');
  try {
    const [address] = await Promise.race([once(createInterface(pipe.stdout), 'line'), gone.then(() => { throw new Error(said); })]);
    const id = address.split('/').at(-1);
    const { page, troubles, close } = await watch(address);
    let sent = 0;
    const sending = (async () => {
      for (; sent < TOTAL; sent += 1) {
        if (!pipe.stdin.write(frame(sent))) await Promise.race([once(pipe.stdin, 'drain'), gone]);
        await sleep(PAUSE);
      }
      pipe.stdin.end();
    })();
    await plays(page, 0.4, PATIENCE);
    check('it plays while frames come', sent < TOTAL, `${sent} of ${TOTAL} frames`);
    await shot(page, 'playing');
    await sending;
    const [code] = await gone;
    check('the pipe ends well', code === 0, said.trim().split('\n').at(-1));
    const seconds = await ended(page);
    check('it plays to its end', Math.abs(seconds - TOTAL / FPS) < 0.1, `${seconds.toFixed(2)} s`);
    await looksLikeWhatWasSent(page, seconds);
    const { state } = await ask(server.url, `api/v1/jobs/${id}`);
    check('the job is done', state === 'done', state);
    check('nothing went wrong in the browser', troubles.length === 0, troubles.join('; '));
    await close();
  } finally {
    pipe.kill();
  }
}

async function broken() {
  console.log('\na program that raises');
  const settings = { size: `${WIDTH}x${HEIGHT}`, fps: String(FPS), pix_fmt: 'rgb24', frames: TOTAL };
  const headers = { 'content-type': 'application/json' };
  const { id } = await ask(server.url, 'api/v1/jobs', { method: 'POST', headers, body: JSON.stringify(settings) });
  await jobWhen(server.url, id, ({ clip }) => clip !== null);
  const { page, troubles, close } = await watch(new URL(`j/${id}`, server.url).href);
  let sent = 0;
  async function* model() {
    for (; sent < 90; sent += 1) {
      yield frame(sent);
      await sleep(PAUSE);
    }
    throw new RangeError('the model is out of memory');
  }
  const pushing = (async () => {
    // Some at a time, so that those before the error are whole.
    const part = async (first, frames) => {
      const path = `api/v1/jobs/${id}/frames?first=${first}`;
      await ask(server.url, path, { method: 'POST', body: Buffer.concat(frames) });
    };
    let frames = [];
    try {
      for await (const picture of model()) {
        frames.push(picture);
        if (frames.length === 10) await part(sent - 9, frames.splice(0));
      }
    } catch (error) {
      const body = JSON.stringify({ reason: error.stack });
      await ask(server.url, `api/v1/jobs/${id}/fail`, { method: 'POST', headers, body });
    }
  })();
  await plays(page, 0.4, PATIENCE);
  check('it plays while frames come', sent < 90, `${sent} frames`);
  await pushing;
  const job = await jobWhen(server.url, id, ({ state }) => state === 'failed');
  check('the job says what happened', job.error.detail.includes('gave up') && job.error.code === 'frames_ended', job.error.detail);
  const lines = page.locator('#log');
  await lines.getByText('RangeError: the model is out of memory').first().waitFor({ timeout: 30_000 });
  const log = await lines.textContent();
  check('the traceback is in the log', /at (async )?model \(.*pushed\.mjs:\d+/.test(log), log.slice(-300));
  const made = job.clip.segment_ends[job.clip.ready[0][1] - 1];
  check('some of it was made', made > 1 && made <= 90 / FPS, `${made} s`);
  // Whoever comes later sees a clip that ends there.
  const late = await watch(page.url());
  await late.page.click('#start', { timeout: PATIENCE });
  const seconds = await ended(late.page);
  check('what was made until then plays to its end', Math.abs(seconds - made) < 0.1, `${seconds.toFixed(2)} s`);
  await looksLikeWhatWasSent(late.page, seconds);
  await checkSoon('and shows the traceback', late.page, () => document.querySelector('#log').textContent.includes('RangeError: the model is out of memory'));
  check('nothing went wrong for those who came late', late.troubles.length === 0, late.troubles.join('; '));
  await late.close();
  // Whoever was watching goes on to there by itself.
  const watched = page.waitForFunction(
    (end) => document.querySelector('#video').ended && document.querySelector('#video').currentTime > end - 0.1,
    made,
    { timeout: PATIENCE },
  );
  await watched.catch(async () => {
    const state = await page.evaluate(() => {
      const { currentTime, paused, readyState, buffered } = document.querySelector('#video');
      const end = buffered.length > 0 ? buffered.end(buffered.length - 1) : 0;
      return JSON.stringify({ currentTime, paused, readyState, end, mode: document.querySelector('#screen').dataset.mode });
    });
    throw new Error(`the page that was watching stops at ${state}`);
  });
  check('so it does for those who were watching, without a click', true);
  await shot(page, 'broken');
  check('nothing else went wrong in the browser', troubles.length === 0, troubles.join('; '));
  await close();
}

/** Nobody says how long it will be. */
async function live() {
  console.log('\nas long as frames come');
  const headers = { 'content-type': 'application/json' };
  const body = JSON.stringify({ size: `${WIDTH}x${HEIGHT}`, fps: String(FPS) });
  const { id } = await ask(server.url, 'api/v1/jobs', { method: 'POST', headers, body });
  await jobWhen(server.url, id, ({ clip }) => clip !== null);
  const { page, troubles, close } = await watch(new URL(`j/${id}`, server.url).href);
  const path = `api/v1/jobs/${id}`;
  const part = async (first, end) => {
    const frames = Array.from({ length: end - first }, (_, k) => frame(first + k));
    await ask(server.url, `${path}/frames?first=${first}`, { method: 'POST', body: Buffer.concat(frames) });
  };
  const said = () => page.evaluate(() => ({
    title: document.title,
    panel: document.querySelector('#panel').innerText,
    clock: document.querySelector('#clock').textContent,
    now: document.querySelector('#bar').getAttribute('aria-valuenow'),
  }));
  await part(0, 50);
  await plays(page, 0.4, PATIENCE);
  const first = await said();
  check('the page says that it is live', first.title.startsWith('Live') && first.panel.includes('so far'), JSON.stringify(first));
  check('and promises no end', first.now === null && !first.panel.includes('%') && !first.panel.includes(' left'), first.panel);
  await shot(page, 'live');
  // It has played all that there is, and waits for more.
  await page.waitForFunction(() => document.querySelector('#screen').dataset.mode === 'stalled', null, { timeout: PATIENCE });
  await part(50, 100);
  await page.waitForFunction(() => document.querySelector('#video').currentTime > 2.5, null, { timeout: PATIENCE });
  const later = await said();
  check('it goes on by itself, and its length grows', later.clock !== first.clock && / 0:0[34]$/.test(later.clock), `${first.clock}, then ${later.clock}`);
  // Somebody who comes now can begin at the start.
  const late = await watch(page.url());
  await part(100, TOTAL);
  await ask(server.url, `${path}/end`, { method: 'POST' });
  const seconds = await ended(page);
  check('it plays to the end', Math.abs(seconds - TOTAL / FPS) < 0.1, `${seconds.toFixed(2)} s`);
  await looksLikeWhatWasSent(page, seconds);
  await plays(late.page, 0.4, PATIENCE);
  check('so it does for those who came later', Math.abs((await ended(late.page)) - TOTAL / FPS) < 0.1);
  await looksLikeWhatWasSent(late.page, seconds);
  await checkSoon('then it is a clip like any other', page, () => !document.title.includes('Live'));
  const all = [...troubles, ...late.troubles];
  check('nothing went wrong in the browser', all.length === 0, all.join('; '));
  await late.close();
  await close();
}

try {
  await piped();
  await broken();
  await live();
} catch (error) {
  check(`the test runs to its end: ${error.stack}`, false);
  console.log(server.output().slice(-2000));
} finally {
  await browser.close();
  await server.stop();
  finish();
}
