// A real Gradio page in a real browser: a click, and what a generator makes plays while it is making it.
//
// node gradio.mjs --python /path/of/a/venv/bin/python [--chromium path] [--screenshots folder]

import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { check, commandLine, finish, freePort, root, shooter, startBrowser } from './harness.mjs';

const options = commandLine({ python: { type: 'string' } });
const shot = shooter(options);

/**
 * How long before a stall the segment that was wanted then was made, in milliseconds. On a machine that is busy with something
 * else the generator of this test may fall behind, which is not the player's fault.
 */
async function patience(stream, playlist) {
  const starts = [0];
  for (const [, length] of playlist.matchAll(/#EXTINF:([0-9.]+)/g)) starts.push(starts.at(-1) + Number(length));
  const events = await fetch(`${stream}/events`).then((answer) => answer.text());
  const ready = new Map();
  for (const [, data] of events.matchAll(/^event: log\ndata: (.*)$/gm)) {
    const line = JSON.parse(data);
    const segment = /^segment (\d+) is ready$/.exec(line.text);
    if (segment) ready.set(Number(segment[1]), line.at * 1000);
  }
  return ({ at, position }) => {
    const wanted = starts.findIndex((start) => start > position - 0.1);
    return at - (ready.get(wanted) ?? 0);
  };
}

/**
 * A segment that was made so shortly before may still be on its way: a fifth of a second, twice what the player's own clock and
 * the server's need, and ten times what this machine needed at its slowest to bring the page a few bytes.
 */
const late = (trips) => 200 + 10 * Math.max(...trips);

const port = await freePort();
const url = `http://127.0.0.1:${port}/`;
const app = spawn(options.python, [join(root, 'python/tests/gradio_app.py'), String(port)], {
  stdio: ['pipe', 'pipe', 'pipe'],
  env: { ...process.env, GRADIO_ANALYTICS_ENABLED: 'False', HF_HUB_OFFLINE: '1' },
});
let output = '';
app.stdout.on('data', (text) => (output += text));
app.stderr.on('data', (text) => (output += text));

const browser = await startBrowser(options.chromium);
try {
  for (let tries = 0; ; tries += 1) {
    if (await fetch(`${url}config`).then((answer) => answer.ok, () => false)) break;
    if (tries > 1200 || app.exitCode !== null) throw new Error(`the Gradio app did not start:\n${output}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();
  const foreign = [];
  const troubles = [];
  page.on('request', (request) => {
    const { origin } = new URL(request.url());
    if (request.url().includes('/headcast/') && !request.url().startsWith(url)) foreign.push(request.url());
    if (origin !== new URL(url).origin && request.frame().url().includes('/headcast/')) foreign.push(request.url());
  });
  page.on('pageerror', (error) => troubles.push(error.message));
  page.on('response', (answer) => {
    if (answer.url().includes('/headcast/') && answer.status() >= 400) troubles.push(`${answer.status()} ${answer.url()}`);
  });
  // In every frame: when its video did what.
  await context.addInitScript(() => {
    window.seen = [];
    for (const type of ['playing', 'waiting', 'ended']) {
      document.addEventListener(type, (event) => window.seen.push({ type, at: Date.now(), position: event.target.currentTime }), true);
    }
  });
  await page.goto(url);
  const frameOf = (title) => page.frameLocator(`iframe[title="${title}"]`);
  // Gradio builds its page in the browser, after the document is loaded.
  for (const button of ['#fast', '#broken']) await page.locator(button).waitFor();
  await frameOf('headcast player').locator('#note:not(:empty)').waitFor();
  await frameOf('headcast log').locator('#lines').waitFor({ state: 'attached' });

  /** Clicks, and watches the video to its end. */
  async function run(name, button, { plays }) {
    console.log(`\n${name}`);
    const before = await page.locator('iframe[title="headcast player"]').getAttribute('src');
    const clicked = await page.evaluate((id) => {
      const target = document.querySelector(`#${id}`);
      const now = Date.now();
      // A person's click; the time is taken in the same breath.
      window.clickedAt = now;
      target.addEventListener('click', () => (window.clickedAt = Date.now()), { once: true });
      return now;
    }, button);
    await page.click(`#${button}`);
    await page.waitForFunction((old) => document.querySelector('iframe[title="headcast player"]').getAttribute('src') !== old, before, { timeout: 60_000 });
    const clickedAt = Math.max(clicked, await page.evaluate(() => window.clickedAt));
    const video = frameOf('headcast player').locator('#video');
    const handle = await video.elementHandle();
    const frame = await handle.ownerFrame();
    await frame.waitForFunction(() => window.seen.some((event) => event.type === 'playing'), null, { timeout: 60_000 });
    const playing = await frame.evaluate(() => window.seen.find((event) => event.type === 'playing').at);
    // What the machine can do, measured all the while.
    await frame.evaluate((list) => {
      window.trips = [];
      const trip = async () => {
        const began = performance.now();
        await fetch(list).then((answer) => answer.text());
        window.trips.push(performance.now() - began);
        setTimeout(trip, 100);
      };
      trip();
    }, `${url}headcast/s/${new URL(frame.url()).searchParams.get('stream')}/index.m3u8`);
    const stream = `${url}headcast/s/${new URL(frame.url()).searchParams.get('stream')}`;
    const state = await fetch(`${stream}/index.m3u8`).then((answer) => answer.text());
    const generating = !(await frame.evaluate(() => document.querySelector('#badge').hidden));
    check('it plays', true, `${playing - clickedAt} ms after the click`);
    check('before the generator has ended', generating);
    // It waits for this in the middle.
    app.stdin.write('go on\n');
    await shot(page, `${button}-playing`);
    await frame.waitForFunction(() => document.querySelector('#video').currentTime > 0.7, null, { timeout: 60_000 });
    const sound = await handle.evaluate((element) => ({ bytes: element.webkitAudioDecodedByteCount, muted: element.muted }));
    check('sound is decoded, and not muted', sound.bytes > 0 && !sound.muted, `${sound.bytes} bytes`);
    await frame.waitForFunction((length) => {
      const element = document.querySelector('#video');
      return element.ended || (element.paused && element.currentTime > length - 0.3);
    }, plays, { timeout: 120_000 });
    const end = await frame.evaluate(() => {
      const { currentTime, duration } = document.querySelector('#video');
      return { currentTime, duration, trips: window.trips, stalls: window.seen.filter((event) => event.type === 'waiting' && event.position > 0.2 && event.position < duration - 0.1) };
    });
    check('it plays to its end', Math.abs(end.duration - plays) < 0.3 && end.currentTime > plays - 0.4, `${end.currentTime.toFixed(2)} of ${end.duration.toFixed(2)} s`);
    const since = await patience(stream, state);
    const stalls = end.stalls.map((stall) => ({ position: stall.position, since: since(stall) }));
    const told = stalls.map((stall) => `at ${stall.position.toFixed(2)} s, ${stall.since} ms after its segment was made`);
    const bound = late(end.trips);
    check('the machine was measured', end.trips.length > 10, `${end.trips.length} trips, ${Math.max(...end.trips).toFixed(0)} ms the slowest`);
    check('without a stall that is not the generator\'s', stalls.every((stall) => stall.since < bound), told.join('; ') || 'none at all');
    await shot(page, `${button}-ended`);
    return state;
  }

  const complete = await run('a fast generator', 'fast', { plays: 8 });
  check('the list was complete from the start', complete.includes('VOD') && complete.includes('ENDLIST'));
  const lines = frameOf('headcast log').locator('#lines');
  await lines.getByText('200 frames in').waitFor({ timeout: 20_000 });
  const text = await lines.textContent();
  check('the log has what happened', text.includes('opened: 256x256') && text.includes('frame 100 is here'));

  await run('the same again, on the same page', 'fast', { plays: 8 });

  console.log('\na generator that raises');
  await page.click('#broken');
  const log = frameOf('headcast log').locator('#lines');
  await log.getByText('RuntimeError: the model is out of memory').first().waitFor({ timeout: 60_000 });
  check('the traceback is in the log', (await log.textContent()).includes('Traceback (most recent call last)'));
  const video = frameOf('headcast player').locator('#video');
  const handle = await video.elementHandle();
  const frame = await handle.ownerFrame();
  await frame.waitForFunction(() => {
    const element = document.querySelector('#video');
    return element.duration < 7.9 && (element.ended || element.currentTime > element.duration - 0.3);
  }, null, { timeout: 60_000 });
  const left = await handle.evaluate((element) => element.duration);
  check('what was made until then plays to its end', left > 0.5 && left < 7.9, `${left.toFixed(2)} s`);
  await shot(page, 'broken');

  check('everything came from the Gradio server', foreign.length === 0, foreign.join(' '));
  check('nothing went wrong in the page', troubles.length === 0, troubles.join('; '));
} catch (error) {
  check(`the test runs to its end: ${error.message}`, false);
  console.log(output.slice(-4000));
} finally {
  await browser.close();
  app.kill('SIGTERM');
}
finish();
