// A text instead of a recording: written, spoken by a voice, watched with captions, taken along as SRT, and said again.
//
// node text.mjs [--binary headcast] [--chromium path] [--screenshots folder]

import { copyFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  ask, check, checkSoon, commandLine, dataFolder, dataFolderWithCube, finish, jobWhen, openPage, plays, root, shooter, startBrowser, startServer,
} from './harness.mjs';

const options = commandLine();
const PATIENCE = 240_000;
const TEXT = 'Good evening, everyone. This is <b>not</b> markup & it is captioned.';

const data = await dataFolderWithCube(options.binary);
// A voice that says the same whatever it is given: six seconds for a sentence.
const heard = join(data, 'heard');
await copyFile(join(root, 'fixtures/speech/en.wav'), join(data, 'tone.wav'));
await writeFile(join(data, 'voice.sh'), 'cat >> "$1"; echo >> "$1"; cp "$2" "$3"\n');
const voice = `Robot:en=sh ${join(data, 'voice.sh')} ${heard} ${join(data, 'tone.wav')} {wav}`;
const server = await startServer(options.binary, { data, args: ['--voice-command', voice, '--voice-command', 'Mute:zh=false {wav}'] });
const browser = await startBrowser(options.chromium);
const shot = shooter(options);

async function spoken() {
  const { page, troubles, close } = await openPage(browser, server.url, { dark: true });
  await page.click('.source:has(#from-text)');
  await page.waitForSelector('#script:not([hidden])', { timeout: PATIENCE });
  check('the form asks for a text, and for no recording', (await page.isVisible('#script')) && !(await page.isVisible('#drop')));
  await page.click('#generate');
  await checkSoon('without one it says so', page, () => document.querySelector('#composer-trouble').textContent.includes('Write what is to be said'));
  await page.fill('#script', 'x'.repeat(10_001));
  await checkSoon('what is too long is seen before it is sent', page, () => document.querySelector('#script-count.over')?.textContent === '10,001 of 10,000 characters');
  await page.fill('#script', TEXT);
  await checkSoon('and what is not', page, () => !document.querySelector('#script-count.over') && document.querySelector('#composer-trouble').hidden);
  await page.waitForSelector('#voice option', { state: 'attached', timeout: PATIENCE });
  const voices = await page.$$eval('#voice option', (options) => options.map(({ value }) => value));
  check('the voices of the server are offered, the own language first', voices[0] === 'Robot' && voices.includes('Mute'), voices.slice(0, 4).join());
  await page.selectOption('#voice', 'Robot');
  await page.click('.face:has(input[value=cube])');
  await shot(page, 'written');
  await page.click('#generate');
  await page.waitForFunction(() => location.pathname.startsWith('/j/'), null, { timeout: PATIENCE });
  const id = new URL(page.url()).pathname.slice('/j/'.length);
  await plays(page, 0.2, PATIENCE);
  const job = await jobWhen(server.url, id, ({ state }) => state === 'done', PATIENCE);
  check('it is called after its words', job.title.startsWith('Good evening, everyone. This is') && job.voice === 'Robot', `${job.title}, ${job.voice}`);
  check('both sentences are spoken', job.clip.duration_secs > 10 && job.clip.duration_secs < 14, `${job.clip.duration_secs} s`);
  await checkSoon('the log tells of it', page, () => [...document.querySelectorAll('#log .line')].some((line) => line.textContent.includes('Speaking the text')));

  await page.waitForSelector('#captions:not([hidden])', { state: 'attached', timeout: PATIENCE });
  const shows = () => {
    const [track] = document.querySelector('#video').textTracks;
    return track?.mode === 'showing' && track.activeCues?.length === 1 && track.activeCues[0].text;
  };
  check('captions are off at first', (await page.evaluate(shows)) === false);
  await page.keyboard.press('c');
  await page.evaluate(() => {
    const video = document.querySelector('#video');
    video.pause();
    video.currentTime = 2;
  });
  await checkSoon('a key shows them', page, () => {
    const [track] = document.querySelector('#video').textTracks;
    return track?.mode === 'showing' && track.activeCues?.[0]?.text === 'Good evening, everyone.';
  });
  await page.evaluate(() => {
    document.querySelector('#video').currentTime = 9;
  });
  await checkSoon('the second sentence in its time, and nothing of it is markup', page, () => {
    const cue = /** @type {any} */ (document.querySelector('#video').textTracks[0].activeCues?.[0]);
    return cue?.getCueAsHTML().textContent.replace('\n', ' ') === 'This is <b>not</b> markup & it is captioned.' && cue.getCueAsHTML().children.length === 0;
  });
  await shot(page, 'captions');
  check('the button says that they are on', (await page.getAttribute('#captions', 'aria-pressed')) === 'true');

  const [download] = await Promise.all([page.waitForEvent('download', { timeout: PATIENCE }), page.click('#download-srt')]);
  const srt = await (await fetch(new URL(job.links.srt, server.url))).text();
  check('SRT can be taken along', download.suggestedFilename().endsWith('.srt') && srt.startsWith('1\r\n00:00:00,000 --> 00:00:0'), `${download.suggestedFilename()}`);
  check('VTT, too', (await page.getAttribute('#download-vtt', 'href'))?.startsWith(job.links.vtt) ?? false);

  await narrow(page);
  await page.setViewportSize({ width: 1440, height: 900 });
  await page.goto(new URL(`embed/${id}`, server.url).href);
  await page.waitForFunction(() => document.querySelector('#video').textTracks[0]?.mode === 'showing', null, { timeout: PATIENCE });
  check('a player on another site has them, and they are remembered', true);

  const once = (await ask(server.url, `api/v1/jobs/${id}/rerun`, { method: 'POST' }));
  const again = await jobWhen(server.url, once.id, ({ state }) => state === 'done', PATIENCE);
  check('said again with the same captions', again.captions && (await (await fetch(new URL(again.links.srt, server.url))).text()) === srt);
  check('nothing went wrong in the browser', troubles.length === 0, troubles.join('; '));
  await close();
}

/** Every control of a long video with captions can be hit, whatever the size, and what has no key on a telephone is there. */
async function narrow(page) {
  for (const [width, height] of [[360, 740], [320, 640], [740, 360], [768, 1024], [1024, 700], [1440, 900]]) {
    await page.setViewportSize({ width, height });
    const found = await page.evaluate(() => {
      document.querySelector('#clock-at').textContent = '1:10:00';
      document.querySelector('#clock-length').textContent = ' / 1:22:33';
      const screen = document.querySelector('#screen').getBoundingClientRect();
      const parts = [...document.querySelectorAll('.controls :is(button, select, input, .clock)')]
        .filter((part) => part.checkVisibility())
        .map((part) => ({ id: part.id, box: part.getBoundingClientRect() }));
      const [seek] = parts;
      const isWithin = ({ left, right, top, bottom }) => left >= screen.left && right <= screen.right && top >= screen.top && bottom <= screen.bottom;
      return {
        ids: parts.map(({ id }) => id),
        small: parts.filter(({ id, box }) => id !== 'clock' && (box.width < 43.5 || box.height < 43.5)).map(({ id, box }) => `${id} ${box.width} x ${box.height}`),
        outside: parts.filter(({ box }) => !isWithin(box)).map(({ id }) => id),
        overlapping: parts.slice(1).filter(({ box }, k) => box.top < seek.box.bottom - 0.5 || (k > 0 && box.left < parts[k].box.right - 0.5)).map(({ id }) => id),
      };
    });
    const missing = ['seek', 'toggle', 'rate', 'mute', 'captions', 'fullscreen'].filter((id) => !found.ids.includes(id));
    const wrong = [...found.small, ...found.outside.map((id) => `${id} sticks out`), ...found.overlapping.map((id) => `${id} overlaps`), ...missing.map((id) => `${id} is missing`)];
    check(`${width} x ${height}: the controls are in reach`, wrong.length === 0, wrong.join('; ') || found.ids.join(' '));
    await shot(page, `controls-${width}`);
  }
}

/** In the other language, on a telephone, by a voice that fails. */
async function failing() {
  console.log('\na voice that fails');
  const { page, close } = await openPage(browser, server.url, { locale: 'zh-CN', width: 360, height: 740 });
  await page.click('.source:has(#from-text)');
  await page.fill('#script', '大家好。');
  await page.waitForSelector('#voice option', { state: 'attached', timeout: PATIENCE });
  const voices = await page.$$eval('#voice option', (options) => options.map(({ value }) => value));
  check('a voice of the reader’s language comes first', voices[0] === 'Mute', voices.slice(0, 3).join());
  await page.selectOption('#voice', 'Mute');
  await shot(page, 'phone');
  await page.click('#generate');
  await checkSoon('what went wrong is said', page, () => document.querySelector('#job-trouble').textContent.includes('朗读程序出错停止'));
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  check('nothing is wider than the screen', width <= 360, `${width} px`);
  await close();
}

/** A server on which nothing speaks. */
async function mute() {
  console.log('\nwithout a voice');
  const empty = await dataFolder();
  const silent = await startServer(options.binary, { data: empty, env: { PATH: '/nowhere' } });
  try {
    const { page, troubles, close } = await openPage(browser, silent.url);
    await page.click('.source:has(#from-text)');
    await checkSoon('the form says what to install', page, () => document.querySelector('#script-none').checkVisibility() && document.querySelector('#script-none').textContent.includes('espeak-ng'));
    await shot(page, 'none');
    await page.fill('#script', 'Hello.');
    await page.click('#generate');
    await checkSoon('and so does the button', page, () => document.querySelector('#composer-trouble').textContent.includes('no voice'));
    check('nothing went wrong in the browser', troubles.length === 0, troubles.join('; '));
    await close();
  } finally {
    await silent.stop();
  }
}

try {
  await spoken();
  await failing();
  await mute();
} catch (error) {
  check(`the test runs to its end: ${error.stack}`, false);
} finally {
  await browser.close();
  await server.stop();
  await rm(data, { recursive: true, force: true });
  finish();
}
