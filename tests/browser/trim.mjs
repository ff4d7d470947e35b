// A part of a recording: chosen by mouse, finger and keys over its waveform, or in fields where there is none, listened to, and
// spoken by a face.
//
// node trim.mjs [--binary headcast] [--chromium path] [--screenshots folder]

import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ask, check, checkSoon, commandLine, dataFolderWithCube, finish, jobWhen, openPage, root, shooter, speech, startBrowser, startServer } from './harness.mjs';

const options = commandLine();
const PATIENCE = 120_000;

const data = await dataFolderWithCube(options.binary);
let server = await startServer(options.binary, { data });
const browser = await startBrowser(options.chromium, ['--autoplay-policy=no-user-gesture-required']);
const shot = shooter(options);

const wav = { name: 'speech.wav', mimeType: 'audio/wav', buffer: await speech(1) };
/** Length of the fixture. */
const WHOLE = (wav.buffer.length - 44) / 2 / wav.buffer.readUInt32LE(24);

const handle = (page, which) =>
  page.$eval(`#trim-${which}`, (slider) => ({
    now: Number(slider.getAttribute('aria-valuenow')),
    least: Number(slider.getAttribute('aria-valuemin')),
    most: Number(slider.getAttribute('aria-valuemax')),
    said: slider.getAttribute('aria-valuetext'),
    name: slider.getAttribute('aria-label'),
    width: slider.getBoundingClientRect().width,
    height: slider.getBoundingClientRect().height,
  }));
const near = (a, b, by = 0.051) => Math.abs(a - b) <= by;
const text = (page, selector) => page.textContent(selector);

/** Chooses a file, and waits for the waveform or the fields that stand in for it. */
async function choose(page, file) {
  await page.setInputFiles('#audio', file);
  await page.waitForFunction(
    (name) => document.querySelector('#drop-title').textContent === name && (!document.querySelector('#trim-start').hidden || !document.querySelector('#trim-fields').hidden),
    file.name,
    { timeout: PATIENCE },
  );
}

/** Presses Generate, and the job that comes of it. */
async function generate(page) {
  await page.click('.face:has(input[value=cube])');
  await page.click('#generate');
  await page.waitForFunction(() => location.pathname.startsWith('/j/'), null, { timeout: PATIENCE });
  return jobWhen(server.url, new URL(page.url()).pathname.slice('/j/'.length), ({ state }) => state === 'done', PATIENCE);
}

/** From the middle of a handle, so many pixels to the side. */
async function grip(page, which, by) {
  const { x, y, width, height } = await page.locator(`#trim-${which}`).boundingBox();
  return { from: [x + width / 2, y + height / 2], to: [x + width / 2 + by, y + height / 2] };
}

async function mouseAndKeys() {
  console.log('a part of a recording');
  const { page, troubles, close } = await openPage(browser, server.url);
  check('without a recording there is nothing to cut', !(await page.isVisible('#trim')));
  await choose(page, wav);
  const painted = await page.$eval('#wave-canvas', (canvas) => {
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    const columns = new Set();
    for (let i = 3; i < data.length; i += 4) if (data[i] > 200) columns.add(`${Math.floor(i / 4 / canvas.width)}`);
    return { rows: columns.size, height: canvas.height };
  });
  check('it is drawn, to its full height', painted.rows > 0.9 * painted.height, JSON.stringify(painted));
  const [start, end] = [await handle(page, 'start'), await handle(page, 'end')];
  check('all of it is chosen', start.now === 0 && near(end.now, WHOLE) && !(await page.isVisible('#trim-reset')), `${end.now}`);
  check('the handles have names', start.name === 'Start' && end.name === 'End');
  check('and are large enough for a finger', [start, end].every(({ width, height }) => width >= 44 && height >= 44));

  await page.focus('#trim-start');
  for (let k = 0; k < 5; k += 1) await page.keyboard.press('ArrowRight');
  await page.keyboard.press('Shift+ArrowRight');
  const moved = await handle(page, 'start');
  check('keys move the start by tenths and by seconds', near(moved.now, 1.5, 0.001), `${moved.now}`);
  check('and say the time', moved.said === '0:01.5', moved.said);
  await page.keyboard.press('End');
  check('it stays before the end', near((await handle(page, 'start')).now, WHOLE - 0.1, 0.01));
  await page.keyboard.press('Home');
  check('and goes back to the beginning', (await handle(page, 'start')).now === 0);

  const width = (await page.locator('#wave-canvas').boundingBox()).width;
  for (const [which, by] of [['start', width / 4], ['end', -0.6 * width]]) {
    const { from, to } = await grip(page, which, by);
    await page.mouse.move(...from);
    await page.mouse.down();
    await page.mouse.move(...to, { steps: 5 });
    await page.mouse.up();
  }
  const [left, right] = [await handle(page, 'start'), await handle(page, 'end')];
  check('the mouse drags both', near(left.now, WHOLE / 4) && near(right.now, 0.4 * WHOLE), `${left.now} to ${right.now}`);
  check('neither passes the other', near(left.most, right.now - 0.1, 0.02) && near(right.least, left.now + 0.1, 0.02));
  check('its length is shown', /^0:0\d\.\d of 0:0\d\.\d$/.test(await text(page, '#trim-length')), await text(page, '#trim-length'));
  await shot(page, 'chosen');

  await page.evaluate(() => {
    const sound = document.querySelector('#preview');
    window.played = { from: null, to: null };
    sound.addEventListener('playing', () => (window.played.from ??= sound.currentTime));
    sound.addEventListener('pause', () => (window.played.to = sound.currentTime));
  });
  await page.click('#trim-play');
  await page.waitForFunction(() => window.played.to !== null, null, { timeout: PATIENCE });
  const played = await page.evaluate(() => window.played);
  check('what is chosen is played, from its start', played.from >= left.now - 0.05 && played.from < right.now, `${played.from}`);
  check('and no further', played.to >= right.now - 0.05 && played.to < WHOLE - 0.05, `${played.to} of ${right.now}`);

  const job = await generate(page);
  check('the job is of that part', near(job.cut?.start, left.now, 0.002) && near(job.cut?.end, right.now, 0.006), JSON.stringify(job.cut));
  check('and as long', near(job.clip.duration_secs, right.now - left.now, 0.041), `${job.clip.duration_secs} s`);
  await checkSoon('the log says so', page, () => [...document.querySelectorAll('#log .line')].some((line) => /is spoken/.test(line.textContent)));

  // Again, and after a restart.
  const again = await ask(server.url, `api/v1/jobs/${job.id}/rerun`, { method: 'POST' });
  const spoken = await jobWhen(server.url, again.id, ({ state }) => state === 'done', PATIENCE);
  check('spoken again, it is the same part', JSON.stringify([spoken.cut, spoken.clip.duration_secs]) === JSON.stringify([job.cut, job.clip.duration_secs]));
  await page.goto('about:blank');
  await server.stop({ keep: true });
  server = await startServer(options.binary, { data });
  const kept = await ask(server.url, `api/v1/jobs/${job.id}`);
  check('and after a restart', JSON.stringify(kept.cut) === JSON.stringify(job.cut), JSON.stringify(kept.cut));

  await page.goto(server.url);
  await choose(page, wav);
  await page.focus('#trim-end');
  await page.keyboard.press('Shift+ArrowLeft');
  check('another file begins with all of it, and can be cut', near((await handle(page, 'end')).now, WHOLE - 1));
  await page.click('#trim-reset');
  check('one button takes all of it', near((await handle(page, 'end')).now, WHOLE) && !(await page.isVisible('#trim-reset')));
  const whole = await generate(page);
  check('which is no cut', whole.cut === undefined && whole.clip.duration_secs >= WHOLE, JSON.stringify(whole.cut));
  check('nothing went wrong in the browser', troubles.length === 0, troubles.join('; '));
  await close();
}

async function fingers() {
  console.log('\nwith a finger');
  const context = await browser.newContext({ locale: 'zh-CN', viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true, colorScheme: 'dark' });
  const { page, troubles } = await openPage(browser, server.url, { context });
  await choose(page, wav);
  const finger = await context.newCDPSession(page);
  const width = (await page.locator('#wave-canvas').boundingBox()).width;
  await page.locator('#trim').scrollIntoViewIfNeeded();
  const { from, to } = await grip(page, 'start', width / 2);
  const touch = (type, points) => finger.send('Input.dispatchTouchEvent', { type, touchPoints: points.map(([x, y]) => ({ x, y })) });
  await touch('touchStart', [from]);
  for (let k = 1; k <= 4; k += 1) await touch('touchMove', [[from[0] + (k / 4) * (to[0] - from[0]), from[1]]]);
  await touch('touchEnd', []);
  const { now, name } = await handle(page, 'start');
  check('it drags, and the page stays', near(now, WHOLE / 2, 0.1), `${now}`);
  check('in the reader’s language', name === '开始', name);
  const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  check('nothing is wider than the screen', over <= 0, `${over} px`);
  await shot(page, 'finger');
  check('nothing went wrong in the browser', troubles.length === 0, troubles.join('; '));
  await context.close();
}

async function fields() {
  console.log('\nrecordings that the browser cannot look at');
  const { page, close } = await openPage(browser, server.url);
  const alac = await readFile(join(root, 'fixtures/audio/click-alac.m4a'));
  await choose(page, { name: 'click.m4a', mimeType: 'audio/mp4', buffer: alac });
  check('there are fields instead', (await page.isVisible('#trim-from')) && !(await page.isVisible('#wave')));
  const refuses = async (from, to, words) => {
    await page.fill('#trim-from', from);
    await page.fill('#trim-to', to);
    await page.click('#generate');
    await page.waitForSelector('#composer-trouble:not([hidden])', { timeout: PATIENCE });
    const trouble = await text(page, '#composer-trouble');
    check(`“${from}” to “${to}” is refused`, trouble.includes(words), trouble);
  };
  await refuses('soon', '', 'Write times like');
  await page.click('label:has(#from-text)');
  await page.evaluate(() => document.querySelector('#generate').click());
  await checkSoon('a text is not held up by it', page, () => /^(Write what is to be said|There is no voice)/.test(document.querySelector('#composer-trouble').textContent));
  await page.click('label:has(#from-sound)');
  await refuses('0.4', '0.2', 'The end must come after');
  await refuses('1:00', '', 'only 0.612 s long');
  await shot(page, 'fields');
  await page.fill('#trim-from', '0:00.1');
  await page.fill('#trim-to', '0.4');
  const job = await generate(page);
  check('a part of it is spoken', job.cut.start === 0.1 && job.cut.end === 0.4 && near(job.clip.duration_secs, 0.32, 0.001), `${job.clip.duration_secs} s`);

  await page.goto(server.url);
  const long = Buffer.alloc(44 + 16_000 * 660);
  wav.buffer.copy(long, 0, 0, 44);
  long.writeUInt32LE(long.length - 8, 4);
  long.writeUInt32LE(8000, 24);
  long.writeUInt32LE(16_000, 28);
  long.writeUInt32LE(long.length - 44, 40);
  await choose(page, { name: 'long.wav', mimeType: 'audio/wav', buffer: long });
  check('so are there for eleven minutes', await page.isVisible('#trim-from'));
  await page.fill('#trim-from', '10:30');
  check('whose length is known', (await text(page, '#trim-length')) === '0:30.0 of 11:00.0', await text(page, '#trim-length'));
  await refuses('11:30', '', 'shorter than that');
  await close();
}

try {
  await mouseAndKeys();
  await fingers();
  await fields();
} catch (error) {
  check(`the test runs to its end: ${error.stack}`, false);
  console.log(server.output().slice(-2000));
} finally {
  await browser.close();
  await server.stop();
  await rm(data, { recursive: true, force: true });
  finish();
}
