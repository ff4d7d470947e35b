// The page in browsers that are not Chromium: Firefox, and WebKit as GTK has it. A clip is made, watched with its sound while it
// is rendered, and watched again from a place that is not rendered yet.
//
// node others.mjs [--binary headcast] [--only firefox|webkit] [--screenshots folder]

import { execFile } from 'node:child_process';
import { access, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { check, commandLine, dataFolderWithCube, finish, jobWhen, skip, sleep, speech, startServer } from './harness.mjs';
import { firefox, webkit } from './webdriver.mjs';

const options = commandLine({ only: { type: 'string' } });
const PATIENCE = 240_000;
/** Of the recording, in seconds: more than is rendered while the test looks at its beginning. */
const LENGTH = 60;

/** Where a program is; `null` where it is not. */
const which = (name) => promisify(execFile)('which', [name]).then(({ stdout }) => stdout.trim(), () => null);

/** WebKitGTK's browser, which no PATH has. */
async function miniBrowser() {
  for (const root of await readdir('/usr/lib').catch(() => [])) {
    for (const folder of (await readdir(join('/usr/lib', root)).catch(() => [])).filter((name) => name.startsWith('webkit')).toSorted().toReversed()) {
      const found = join('/usr/lib', root, folder, 'MiniBrowser');
      if (await access(found).then(() => true, () => false)) return found;
    }
  }
  return null;
}

/** Starts each browser, or says what is missing for it. */
const BROWSERS = {
  async firefox() {
    const program = (await which('firefox-esr')) ?? (await which('firefox'));
    return program ? firefox(program) : 'firefox-esr';
  },
  async webkit() {
    const [driver, screen, browser] = [await which('WebKitWebDriver'), await which('Xvfb'), await miniBrowser()];
    return driver && screen && browser ? webkit({ driver, screen, browser }) : 'webkit2gtk-driver or xvfb';
  },
};

/** What `script` makes of `given` in the page. */
async function run(browser, script, ...given) {
  const wrapped = `
    const done = arguments[arguments.length - 1];
    Promise.resolve().then(() => (${script})(...Array.prototype.slice.call(arguments, 0, -1))).then((value) => done({ value }), (error) => done({ error: String(error) }));`;
  const { value, error } = await browser.run(wrapped, given);
  if (error) throw new Error(error);
  return value ?? null;
}

/** Waits until `script` gives something in the page. */
async function until(browser, what, script, ...given) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    const found = await run(browser, script, ...given);
    if (found) return found;
    if (Date.now() > end) {
      const state = await run(browser, () => {
        const video = document.querySelector('#video');
        return [document.querySelector('#screen').dataset.mode, video.currentTime, video.readyState, video.error?.message, document.querySelector('#job-trouble').textContent].join(', ');
      });
      throw new Error(`${what}: never (${state})`);
    }
    await sleep(100);
  }
}

/** Presses what leaves the beginning to the viewer, and says how far the video is if it is beyond so many seconds. */
function plays(beyond) {
  for (const id of ['#play-now', '#start']) {
    const button = document.querySelector(id);
    if (button.checkVisibility()) button.click();
  }
  const video = document.querySelector('#video');
  return video.currentTime > beyond && !video.paused ? { at: video.currentTime } : null;
}

async function watch(name, browser, server) {
  const shot = async (what) => {
    if (!options.screenshots) return;
    await mkdir(options.screenshots, { recursive: true });
    await writeFile(join(options.screenshots, `others-${name}-${what}.png`), await browser.picture());
  };
  await browser.go(server.url);
  await until(browser, 'the page is there', () => document.documentElement.classList.contains('ready') && document.querySelectorAll('.face').length > 1);
  await run(browser, () => {
    window.troubles = [];
    addEventListener('error', (event) => window.troubles.push(event.message));
    addEventListener('unhandledrejection', (event) => window.troubles.push(String(event.reason)));
  });
  check('the page comes up', await run(browser, () => document.querySelector('#composer-trouble').hidden && document.title === 'headcast'));
  const lost = await run(browser, () => performance.getEntriesByType('resource').filter(({ responseStatus }) => responseStatus >= 400).map(({ name }) => name).join());
  check('with all of its parts', lost === '', lost);

  await browser.press(await browser.element('#language'));
  await until(browser, 'it is Chinese', () => document.documentElement.lang === 'zh-CN' && document.querySelector('#generate-text').textContent === '生成视频');
  check('it speaks Chinese', true);
  await browser.press(await browser.element('#language'));
  await until(browser, 'it is English', () => document.querySelector('#generate-text').textContent === 'Generate');
  check('and English again', true);

  await run(
    browser,
    (text) => {
      const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
      const chosen = new DataTransfer();
      chosen.items.add(new File([bytes], 'speech.wav', { type: 'audio/wav' }));
      const input = document.querySelector('#audio');
      input.files = chosen.files;
      input.dispatchEvent(new Event('change'));
      document.querySelector('.face input[value=cube]').click();
    },
    (await speech(LENGTH / 6)).toString('base64'),
  );
  await until(browser, 'its waveform is drawn', () => !document.querySelector('#trim-start').hidden);
  check('a recording is chosen, and looked at', true);
  await shot('chosen');
  await browser.press(await browser.element('#generate'));
  const id = await until(browser, 'there is a job', () => /^\/j\/(.+)$/.exec(location.pathname)?.[1]);
  check('it becomes a job', true);

  const { at } = await until(browser, 'it plays', plays, 1);
  const job = await jobWhen(server.url, id, () => true);
  check('it plays while it is rendered', job.state === 'rendering', `${at} s, ${job.state}, ${job.progress.frames} frames`);
  const shown = await run(browser, () => {
    const video = document.querySelector('#video');
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [32, 32];
    const context = canvas.getContext('2d');
    context.drawImage(video, 0, 0, 32, 32);
    const { data } = context.getImageData(0, 0, 32, 32);
    const grey = Array.from({ length: 1024 }, (_, i) => (data[4 * i] + data[4 * i + 1] + data[4 * i + 2]) / 3);
    const mean = grey.reduce((a, b) => a + b) / 1024;
    return { mean, variance: grey.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 1024, width: video.videoWidth };
  });
  check('the pictures are pictures', shown.width === 64 && shown.mean > 10 && shown.variance > 20, JSON.stringify(shown));
  const sounds = await run(browser, () => {
    const video = document.querySelector('#video');
    return video.mozHasAudio ?? (video.webkitAudioDecodedByteCount > 0 || video.audioTracks?.length > 0);
  });
  check('with sound', sounds === true, String(sounds));
  await shot('plays');

  const there = LENGTH - 10;
  const before = await jobWhen(server.url, id, () => true);
  const isMade = before.clip.ready.some(([first, end]) => before.clip.segment_ends.some((secs, k) => k >= first && k < end && secs > there));
  check('what is far ahead is not there yet', !isMade, JSON.stringify(before.clip.ready));
  await run(browser, (secs) => {
    const seek = document.querySelector('#seek');
    seek.value = String(secs);
    seek.dispatchEvent(new Event('input', { bubbles: true }));
    seek.dispatchEvent(new Event('change', { bubbles: true }));
  }, there);
  const after = await until(browser, 'it plays there', plays, there + 0.5);
  check('a jump ahead plays from there', after.at < LENGTH, `${after.at} s`);
  const left = await jobWhen(server.url, id, () => true);
  check('before all is rendered', left.state === 'rendering', `${left.progress.frames} of ${left.progress.total} frames`);
  await shot('jumped');
  const troubles = await run(browser, () => window.troubles.join('; '));
  check('nothing went wrong in the browser', troubles === '', troubles);
}

for (const [name, start] of Object.entries(BROWSERS)) {
  if (options.only && options.only !== name) continue;
  const browser = await start().catch((error) => error);
  if (typeof browser === 'string') {
    skip(`the page in ${name}`, browser);
    continue;
  }
  if (browser instanceof Error) {
    check(`${name} starts`, false, browser.message);
    continue;
  }
  console.log(`\n${browser.version}`);
  const data = await dataFolderWithCube(options.binary);
  // Half again as fast as the clip, so that it plays at once, and rendering takes most of a minute.
  const server = await startServer(options.binary, { data, args: ['--max-fps', '37'] });
  try {
    await watch(name, browser, server);
  } catch (error) {
    check(`the test runs to its end: ${error.stack}`, false);
    console.log(browser.output(), server.output().slice(-2000));
  } finally {
    await browser.stop();
    await server.stop();
    await rm(data, { recursive: true, force: true });
  }
}
finish();
