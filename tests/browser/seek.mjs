// A jump to 9:00 of ten minutes, ten seconds after the start: rendering goes on there, what was jumped over comes
// later, and in the end nothing tells that it was made in another order.
//
// node seek.mjs [--binary headcast] [--chromium path] [--screenshots folder]

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  check, commandLine, createJob, dataFolderWithCube, finish, jobWhen, openPage, picture, root, shooter, speech, startBrowser, startServer,
} from './harness.mjs';

const options = commandLine();
const PATIENCE = 420_000;
const TARGET_SECS = 540;
/** No machine comes to 9:00 by itself before the jump: in ten seconds it makes less than half of the clip. */
const PACE = ['--max-fps', '600', '--assume-fps', '200', '--threads', '1', '--jobs', '2'];

const data = await dataFolderWithCube(options.binary, 32);
const server = await startServer(options.binary, { data, args: PACE });
const browser = await startBrowser(options.chromium);
const shot = shooter(options);

/** The order in which the segments of a job became ready, from the job's events as the server tells them. */
async function order(id) {
  const { events, stop } = await follow(id);
  const ready = [];
  for await (const { type, segment, job } of events) {
    if (type === 'ready') ready.push(segment);
    if (type === 'state' && job.state === 'done') break;
  }
  stop();
  return ready;
}

async function follow(id) {
  const abort = new AbortController();
  const answer = await fetch(`${server.url}api/v1/jobs/${id}/events`, { signal: abort.signal });
  async function* events() {
    let rest = '';
    for await (const text of answer.body.pipeThrough(new TextDecoderStream())) {
      const parts = (rest + text).split('\n\n');
      rest = parts.pop();
      for (const part of parts) {
        const body = part.split('\n').filter((line) => line.startsWith('data:')).map((line) => line.slice(5)).join('\n');
        if (body !== '') yield JSON.parse(body);
      }
    }
  }
  return { events: events(), stop: () => abort.abort() };
}

/** Every segment and the video file of a job. */
async function output(id) {
  const base = `${server.url}api/v1/jobs/${id}/`;
  const bytes = async (name) => {
    const answer = await fetch(base + name);
    if (!answer.ok) throw new Error(`${name}: ${answer.status}`);
    return Buffer.from(await answer.arrayBuffer());
  };
  const list = String(await bytes('index.m3u8'));
  const names = list.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  const segments = [];
  for (const name of names) segments.push(await bytes(name));
  return { list, segments, video: await bytes('video.mp4') };
}

async function jump() {
  console.log('a jump to 9:00');
  const wav = await speech(100);
  const features = await readFile(join(root, 'fixtures/nerf/er-torso/aud_ds.npy'));
  const file = join(data, 'ten minutes.wav');
  await writeFile(file, wav);
  const { page, troubles, close } = await openPage(browser, server.url);
  /** What the page asked for and was told, in order. */
  const said = [];
  page.on('websocket', (socket) => {
    const note = ({ payload }) => {
      const message = JSON.parse(String(payload));
      if (message.type === 'ready') said.push({ ready: message.segment, at: Date.now() });
      if (message.want !== undefined) said.push({ want: message.want, at: Date.now() });
    };
    socket.on('framereceived', note);
    socket.on('framesent', note);
  });
  // The page connects once more, in sight.
  await page.reload();
  await page.waitForSelector('.face');
  await page.setInputFiles('#audio', file);
  await page.click('.face:has(input[value=cube])');
  await page.click('#more summary');
  await page.setInputFiles('#features', { name: 'features.npy', mimeType: 'application/octet-stream', buffer: features });
  await page.click('#generate');
  await page.waitForFunction(() => location.pathname.startsWith('/j/'), null, { timeout: 60_000 });
  const id = new URL(page.url()).pathname.slice('/j/'.length);
  // Nobody watches this one: the same clip, made in order.
  const other = await createJob(server.url, wav, { name: 'ten minutes.wav', features });
  const orders = [order(id), order(other.id)];

  await page.waitForFunction(() => document.querySelector('#video').currentTime >= 10, null, { timeout: PATIENCE });
  // Just after a segment: what is begun now is not done before the server hears of the jump.
  const heard = said.length;
  while (!said.slice(heard).some(({ ready }) => ready !== undefined)) await page.waitForTimeout(10);
  const box = await page.locator('#seek').boundingBox();
  const jumped = said.length;
  const began = Date.now();
  await page.mouse.click(box.x + 0.9 * box.width, box.y + box.height / 2);
  await page.waitForFunction((secs) => document.querySelector('#video').currentTime > secs - 10, TARGET_SECS);
  const landed = await page.evaluate(() => document.querySelector('#video').currentTime);
  check('the seek bar leads to 9:00', Math.abs(landed - TARGET_SECS) < 10, `${landed.toFixed(1)} s`);
  await shot(page, 'seek-jumped');
  await page.waitForFunction(
    (from) => {
      const video = document.querySelector('#video');
      return !video.seeking && video.readyState >= 2 && video.currentTime > from;
    },
    landed,
    { timeout: PATIENCE },
  );
  const took = Date.now() - began;
  const shown = await picture(page);
  check('there is a picture there, and it goes on', shown.variance > 100, `variance ${shown.variance.toFixed(0)}`);
  const job = await jobWhen(server.url, id, () => true);
  await shot(page, 'seek-playing');
  // Seen enough: the machine is for the renderer now.
  await page.click('#toggle');

  const after = said.slice(jumped);
  const asked = after.findIndex(({ want }) => want !== undefined);
  const wanted = after[asked]?.want;
  const finished = after.slice(asked).filter(({ ready }) => ready !== undefined);
  const place = finished.findIndex(({ ready }) => ready === wanted);
  const times = finished.slice(0, 2).map(({ at }) => `${at - began} ms`);
  check(
    'the segment at 9:00 is one of the next two that are made',
    asked >= 0 && (place === 0 || place === 1),
    `segment ${wanted} was number ${place + 1}; they came ${times.join(' and ')} after the click, the picture after ${took} ms`,
  );
  const holes = job.clip.ready.length - 1;
  check('it plays before what comes earlier is made', job.state === 'rendering' && holes === 1, `made: ${JSON.stringify(job.clip.ready)} of ${job.clip.segments}`);

  const [jumpy, straight] = await Promise.all(orders);
  await jobWhen(server.url, other.id, ({ state }) => state === 'done', PATIENCE);
  const ascending = (list) => list.every((segment, k) => segment === k);
  check('the earlier part fills in later', new Set(jumpy).size === job.clip.segments && jumpy.indexOf(wanted) < jumpy.indexOf(wanted - 1));
  check('the control was made in order, and this one was not', ascending(straight) && !ascending(jumpy), `${straight.length} segments`);
  const [mine, theirs] = [await output(id), await output(other.id)];
  const different = mine.segments.filter((bytes, k) => !bytes.equals(theirs.segments[k])).length;
  check('every segment is the same', mine.list === theirs.list && different === 0, `${different} of ${mine.segments.length} differ`);
  check('and so is the video file', mine.video.equals(theirs.video), `${mine.video.length} bytes`);
  check('no segment is like its neighbour', mine.segments.every((bytes, k) => k === 0 || !bytes.equals(mine.segments[k - 1])));
  await page.waitForSelector('#download:not([hidden])', { timeout: 60_000 });
  await shot(page, 'seek-done');
  check('nothing went wrong in the browser', troubles.length === 0, troubles.join('; '));
  await close();
}

try {
  await jump();
} finally {
  await browser.close();
  await server.stop();
  finish();
}
