// The page in a real browser: a recording goes in, and the face speaks it while the rest is being rendered.
//
// node on_air.mjs [--binary headcast] [--english en.wav] [--mandarin zh.wav] [--screenshots folder]
//                 [--chromium path] [--url of a running server]

import { join } from 'node:path';
import { ask, check, checkSoon, commandLine, finish, openPage, picture, root, shooter, startBrowser, startServer } from './harness.mjs';

const options = commandLine({
  english: { type: 'string', default: join(root, 'fixtures/speech/en.wav') },
  mandarin: { type: 'string', default: join(root, 'fixtures/speech/zh.wav') },
  url: { type: 'string' },
});
/** The slowest that a clip of a few seconds may be on a busy machine without a GPU, in milliseconds. */
const PATIENCE = 420_000;

const server = options.url
  ? { url: options.url, stop: async () => {}, output: () => '' }
  // A third faster than speech, whatever the machine: there is something left to render when it begins to play.
  : await startServer(options.binary, { args: ['--max-fps', '32', '--assume-fps', '60'] });
const browser = await startBrowser(options.chromium);
const shot = shooter(options);

/** Uploads a recording and watches it to its end. */
async function speaks(name, file, locale, words) {
  console.log(`\n${name}`);
  const { page, troubles, heard, close } = await openPage(browser, server.url, { locale });
  await checkSoon('the page speaks the language of the browser', page, (text) => document.querySelector('#generate-text').textContent === text, words.generate);
  await shot(page, `${name}-idle`);
  await page.setInputFiles('#audio', file);
  await checkSoon('the chosen file is shown', page, (name) => document.querySelector('#drop-title').textContent === name, file.split('/').at(-1));

  const began = Date.now();
  await page.click('#generate');
  await page.waitForFunction(() => /^\/j\/[a-z2-7]{16}$/.test(location.pathname), null, { timeout: 60_000 });
  await page.waitForFunction(() => window.seen.events.some((e) => e.type === 'playing' && e.job), null, { timeout: PATIENCE });
  const playing = await page.evaluate(() => window.seen.events.find((e) => e.type === 'playing'));
  const { progress } = playing.job;
  check(
    'it plays while it is being rendered',
    playing.job.state === 'rendering' && progress.frames < progress.total,
    `${playing.job.state}, ${progress.frames} of ${progress.total} frames, ${Date.now() - began} ms after the click`,
  );
  await shot(page, `${name}-on-air`);
  // What was made meanwhile is the measure: a machine that is busy is so for both.
  await page.waitForFunction(() => window.seen.pictured, null, { timeout: 60_000 });
  const { picture: at, pictured } = await page.evaluate(() => window.seen);
  check('the first picture follows the first segment', pictured.progress.frames < pictured.progress.total / 2, `${pictured.progress.frames} frames were made, ${at - heard.ready} ms after the first segment`);
  const first = await picture(page);
  check('the picture is not black', first.mean > 16 && first.variance > 100, `variance ${first.variance.toFixed(0)}`);
  const sound = await page.evaluate(() => {
    const video = document.querySelector('#video');
    return { bytes: video.webkitAudioDecodedByteCount, muted: video.muted };
  });
  check('sound is decoded, and not muted', sound.bytes > 0 && !sound.muted, `${sound.bytes} bytes`);

  await page.waitForFunction(
    (start) => document.querySelector('#video').currentTime > start + 0.8 || document.querySelector('#video').ended,
    playing.position,
    { timeout: PATIENCE },
  );
  const second = await picture(page);
  const moved = first.grey.reduce((most, value, i) => Math.max(most, Math.abs(value - second.grey[i])), 0);
  check('the picture moves', moved > 4, `by up to ${moved.toFixed(0)} levels`);

  await page.waitForFunction(() => document.querySelector('#video').ended, null, { timeout: PATIENCE });
  const end = await page.evaluate(() => {
    const { currentTime, duration } = document.querySelector('#video');
    return { currentTime, duration, stalls: window.seen.events.filter((e) => e.type === 'waiting' && e.position > 0.2 && e.position < duration - 0.1).map((e) => e.position.toFixed(2)) };
  });
  const { clip } = playing.job;
  check('it plays to the end', Math.abs(end.currentTime - clip.duration_secs) < 0.1, `${end.currentTime.toFixed(2)} of ${clip.duration_secs} s`);
  // The page waits until the clip plays through; a machine that slows down afterwards may cost it one pause.
  check('without stopping on the way', end.stalls.length <= 1, `stalls at ${end.stalls.join(', ') || 'none'}`);

  await page.waitForSelector('#download:not([hidden])', { timeout: 60_000 });
  await checkSoon('the state is told in words', page, (text) => document.querySelector('#job-state').textContent === text, words.done);
  const mp4 = await page.evaluate(async () => {
    const answer = await fetch(document.querySelector('#download').href, { headers: { range: 'bytes=4-7' } });
    return { status: answer.status, type: answer.headers.get('content-type'), box: await answer.text(), name: answer.headers.get('content-disposition') };
  });
  check('the MP4 can be downloaded', mp4.status === 206 && mp4.type === 'video/mp4' && mp4.box === 'ftyp', mp4.name);
  await shot(page, `${name}-done`);

  await page.reload();
  await page.waitForSelector('#download:not([hidden])', { timeout: 60_000 });
  await page.waitForSelector('#start:not([hidden])', { timeout: 60_000 });
  await page.waitForSelector('#log .line', { timeout: 60_000 });
  check('a reload comes back to it', true);
  await page.click('#start');
  await page.waitForFunction(() => document.querySelector('#video').currentTime > 0.5, null, { timeout: 60_000 });
  check('and plays it again', true);
  const shift = await page.evaluate(() => window.seen.shift);
  check('nothing jumps about', shift < 0.05, `layout shift ${shift.toFixed(3)}`);
  check('nothing went wrong in the browser', troubles.length === 0, troubles.join('; '));
  await close();
}

async function refusals(english) {
  console.log('\nbad input');
  const { page, troubles, close } = await openPage(browser, server.url);
  const says = (text) => document.querySelector('#composer-trouble').textContent.includes(text);
  await page.click('#generate');
  await checkSoon('without a recording it says what to do', page, says, 'Choose an audio file');
  await page.setInputFiles('#audio', { name: 'empty.wav', mimeType: 'audio/wav', buffer: Buffer.alloc(0) });
  await checkSoon('an empty file is refused', page, says, 'empty');
  await page.setInputFiles('#audio', { name: 'notes.txt', mimeType: 'text/plain', buffer: Buffer.from('hello') });
  await checkSoon('a text file is refused', page, says, 'audio file');
  check('none of it reached the server', troubles.length === 0, troubles.join('; '));

  await page.setInputFiles('#audio', { name: 'text.wav', mimeType: 'audio/wav', buffer: Buffer.from('this is text, not sound') });
  await page.click('#generate');
  await page.waitForSelector('.trouble:not([hidden])', { timeout: 60_000 });
  const sentence = await page.locator('.trouble:not([hidden])').first().textContent();
  check('text in an audio file is refused with a sentence', sentence.length > 20 && /[.]$/.test(sentence.trim()), sentence);
  await shot(page, 'refused');

  await page.goto(`${server.url}#aaaaaaaaaaaaaaaa`);
  await page.waitForFunction(() => !document.querySelector('#composer').hidden);
  await checkSoon('a video that is gone leads back to the start', page, says, 'no longer here');

  await page.setInputFiles('#audio', english);
  await page.click('#generate');
  await page.waitForFunction(() => document.querySelector('#panel').dataset.state === 'rendering', null, { timeout: PATIENCE });
  await page.click('#cancel');
  await page.waitForFunction(() => document.querySelector('#panel').dataset.state === 'cancelled', null, { timeout: 60_000 });
  await checkSoon('a video can be cancelled', page, () => document.querySelector('#again').checkVisibility());
  await shot(page, 'cancelled');
  await page.click('#again');
  await checkSoon('and another one begun', page, () => document.querySelector('#generate').checkVisibility());
  await close();
}

/** A recording is sent while its owner still thinks, and one that is taken back is taken back on the server, too. */
async function ahead(english, mandarin) {
  console.log('\nsent ahead');
  const { page, troubles, close } = await openPage(browser, server.url);
  const answered = (method, path) => page.waitForResponse((answer) => answer.request().method() === method && new URL(answer.url()).pathname.startsWith(path), { timeout: 60_000 });
  let sent = answered('POST', '/api/v1/uploads');
  await page.setInputFiles('#audio', mandarin);
  check('a chosen recording is sent', (await sent).status() === 201);
  sent = answered('POST', '/api/v1/uploads');
  const gone = answered('DELETE', '/api/v1/uploads/');
  await page.setInputFiles('#audio', english);
  check('another one takes its place', (await gone).status() === 204 && (await sent).status() === 201);
  const made = answered('POST', '/api/v1/jobs');
  await page.evaluate(() => document.querySelector('#generate').click());
  const answer = await made;
  const asked = answer.request().postDataJSON();
  const job = await answer.json();
  check('the job is made of what is there', answer.status() === 201 && asked.upload.length > 0 && job.audio_name === english.split('/').at(-1), JSON.stringify(asked));
  check('nothing went wrong', troubles.length === 0, troubles.join('; '));
  await page.evaluate((id) => fetch(`/api/v1/jobs/${id}/cancel`, { method: 'POST' }), job.id);

  // Chosen while the one before is on its way to become a video.
  await page.click('#home');
  let held = () => {};
  await page.route('**/api/v1/uploads', (route) => new Promise((resolve) => (held = resolve)).then(() => route.continue()), { times: 1 });
  await page.setInputFiles('#audio', english);
  await page.evaluate(() => document.querySelector('#generate').click());
  sent = answered('POST', '/api/v1/uploads');
  await page.setInputFiles('#audio', mandarin);
  check('the control: the second one is there first', (await sent).status() === 201);
  const generated = async () => {
    await page.waitForFunction(() => location.pathname.startsWith('/j/'), null, { timeout: PATIENCE });
    return ask(server.url, `api/v1${new URL(page.url()).pathname.replace('/j/', '/jobs/')}`);
  };
  held();
  const first = await generated();
  await page.click('#home');
  const asks = page.waitForRequest((request) => request.method() === 'POST' && new URL(request.url()).pathname === '/api/v1/jobs', { timeout: 60_000 });
  await page.evaluate(() => document.querySelector('#generate').click());
  const wish = (await asks).postDataJSON();
  const second = await generated();
  const names = [first, second].map((job) => job.audio_name).join();
  check('each video is made of what was chosen for it', names === [english, mandarin].map((path) => path.split('/').at(-1)).join(), names);
  check('and what was sent ahead is used', Boolean(wish?.upload), JSON.stringify(wish));
  for (const { id } of [first, second]) await ask(server.url, `api/v1/jobs/${id}/cancel`, { method: 'POST' });
  await close();
}

/** Every width in both schemes: what is asked for is there, in reach, and nothing sticks out. */
async function layouts() {
  console.log('\nlayouts');
  for (const [width, height] of [[1440, 900], [768, 1024], [360, 740]]) {
    for (const dark of [false, true]) {
      const { page, close } = await openPage(browser, server.url, { width, height, dark, locale: dark ? 'zh-CN' : 'en-US' });
      const name = `${width}-${dark ? 'dark-zh' : 'light-en'}`;
      await page.waitForLoadState('networkidle');
      const found = await page.evaluate(() => {
        const small = [...document.querySelectorAll('button, .chip, .drop, .face, summary, .brand')]
          .filter((element) => element.offsetParent)
          .map((element) => ({ name: element.id || element.className, box: element.getBoundingClientRect() }))
          .filter(({ box }) => box.height < 43.5 || box.width < 43.5)
          .map(({ name }) => name);
        return { over: document.documentElement.scrollWidth - innerWidth, small };
      });
      check(`${name}: fits`, found.over <= 0, `${found.over} px too wide`);
      check(`${name}: targets are large enough`, found.small.length === 0, found.small.join(', '));
      await shot(page, `layout-${name}`);
      await close();
    }
  }
}

try {
  await layouts();
  await speaks('english', options.english, 'en-GB', { generate: 'Generate', done: 'Ready' });
  await speaks('mandarin', options.mandarin, 'zh-CN', { generate: '生成视频', done: '已完成' });
  await refusals(options.english);
  await ahead(options.english, options.mandarin);
} catch (error) {
  check('the test ran to its end', false, error.message);
  console.log(server.output());
} finally {
  await browser.close();
  await server.stop();
}
finish();
