// How long people wait: from the press of "Generate" to the first picture that moves, for a short and for a long clip, on a
// renderer that makes 60 frames a second, and leaves the rest of the machine to the browser. The button is pressed as soon as
// the file is chosen. A measurement, not a test: run it on a machine with nothing else to do.
//
// node latency.mjs [--binary headcast] [--chromium path] [--runs 9]

import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ask, commandLine, dataFolderWithCube, openPage, root, speech, startBrowser, startServer } from './harness.mjs';

const options = commandLine({
  binary: { type: 'string', default: process.env.HEADCAST_BIN ?? join(root, 'target/release/headcast') },
  runs: { type: 'string', default: '9' },
});
const RUNS = Number(options.runs);
/** Clips by name: how often the six seconds of the fixtures are repeated. */
const CLIPS = { '12 s': 2, '10 min': 100 };

const data = await dataFolderWithCube(options.binary);
const server = await startServer(options.binary, { data, args: ['--max-fps', '60'] });
const browser = await startBrowser(options.chromium, ['--autoplay-policy=no-user-gesture-required']);

/** When the page was told things, by the clock of this process: of the job that was begun last. */
const told = {};

/** Listens to what the server tells the page. */
function listen(page) {
  page.on('websocket', (socket) =>
    socket.on('framereceived', ({ payload }) => {
      const message = JSON.parse(payload);
      if (message.type === 'state' && message.job.state === 'rendering') told.opened ??= Date.now();
      if (message.type === 'ready' && message.segment === 0) told.ready ??= Date.now();
    }),
  );
}

/**
 * One clip from the form to the picture, in milliseconds: all of it, and its parts: until the server said yes, until the
 * job was opened, until its first segment was there, until that played.
 */
async function wait(page, file) {
  await page.goto(server.url);
  await page.waitForSelector('.face');
  delete told.opened;
  delete told.ready;
  await page.setInputFiles('#audio', file);
  await page.click('.face:has(input[value=cube])');
  await page.evaluate(() => {
    window.times = {};
    document.querySelector('#generate').addEventListener('click', () => (window.times.pressed = performance.now()), { once: true, capture: true });
    document.querySelector('#video').addEventListener('playing', () => (window.times.playing ??= performance.now()));
    const push = history.pushState.bind(history);
    // The address changes when the server has said yes.
    history.pushState = (...args) => {
      window.times.accepted ??= performance.now();
      push(...args);
    };
  });
  await page.click('#generate');
  await page.waitForFunction(() => window.times.playing, null, { timeout: 120_000 });
  const times = await page.evaluate(() =>
    Object.fromEntries(Object.entries(window.times).map(([what, at]) => [what, performance.timeOrigin + at])),
  );
  const { pressed, accepted, playing } = times;
  const id = new URL(page.url()).pathname.slice('/j/'.length);
  const job = await ask(server.url, `api/v1/jobs/${id}`);
  await ask(server.url, `api/v1/jobs/${id}/cancel`, { method: 'POST' }).catch(() => {});
  // A socket that was told of the end of all of it at once has no parts.
  const opened = told.opened ?? accepted;
  const ready = told.ready ?? opened;
  return {
    total: playing - pressed,
    parts: [accepted - pressed, opened - accepted, ready - opened, playing - ready],
    speed: job.progress.times_real_time,
  };
}

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

try {
  const { page } = await openPage(browser, server.url);
  listen(page);
  const found = {};
  for (const [name, times] of Object.entries(CLIPS)) {
    const wav = await speech(times);
    // From the disk, as people's are.
    const file = join(data, `${times}.wav`);
    await writeFile(file, wav);
    // The first one opens the avatar and measures the renderer.
    await wait(page, file);
    const waits = [];
    for (let run = 0; run < RUNS; run += 1) waits.push(await wait(page, file));
    const totals = waits.map(({ total }) => total);
    found[name] = median(totals);
    const part = (at) => median(waits.map(({ parts }) => parts[at])).toFixed(0);
    const speed = median(waits.map(({ speed }) => speed));
    console.log(
      `${name.padEnd(7)} (${(wav.length / 1e6).toFixed(1)} MB): median ${found[name].toFixed(0)} ms from the press to playing, ` +
        `${Math.min(...totals).toFixed(0)} to ${Math.max(...totals).toFixed(0)} in ${RUNS} runs; ` +
        `upload and answer ${part(0)}, opening ${part(1)}, first segment ${part(2)}, playing ${part(3)} ms; rendered at ${speed.toFixed(1)} times real time`,
    );
  }
  const [short, long] = Object.values(found);
  console.log(`the long clip over the short one: ${(long / short).toFixed(2)}`);
} finally {
  await browser.close();
  await server.stop();
  await rm(data, { recursive: true, force: true });
}
