// What people expect beside the video: a log that can be searched, held and saved, how fast it went, and a player with
// speed, volume, picture-in-picture and keys, and the player alone in the page of another site.
//
// node watching.mjs [--binary headcast] [--chromium path] [--screenshots folder]

import { readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import {
  ask, check, checkSoon, commandLine, createJob, dataFolderWithCube, finish, jobWhen, openPage, plays, shooter, speech, startBrowser, startServer,
} from './harness.mjs';

const options = commandLine();
const PATIENCE = 240_000;
/** Slow enough to be watched, in short segments: two log lines a second. */
const PACE = ['--max-fps', '16', '--assume-fps', '60'];

/** A site of its own: its one page has the frame that it is given. */
async function otherSite() {
  let html = '';
  const site = createServer((_request, answer) => answer.setHeader('content-type', 'text/html; charset=utf-8').end(html));
  await new Promise((resolve) => site.listen(0, '127.0.0.1', resolve));
  const origin = `http://127.0.0.1:${site.address().port}`;
  const show = (frame) => {
    html = `<!doctype html><title>A blog</title><p>Look at this:</p>${frame}`;
    return origin;
  };
  return { origin, show, close: () => site.close() };
}

const friend = await otherSite();
const stranger = await otherSite();
const data = await dataFolderWithCube(options.binary);
const server = await startServer(options.binary, { data, args: [...PACE, '--allow-embed', friend.origin] });
const browser = await startBrowser(options.chromium);
const shot = shooter(options);

/** Lines that can be read in the log. */
const shown = (page) => page.evaluate(() => [...document.querySelectorAll('#log .line')].filter((line) => !line.hidden).map((line) => line.textContent));

async function held(page, id) {
  console.log('the log, while it grows');
  await page.waitForFunction(() => document.querySelectorAll('#log .line').length > 1, null, { timeout: PATIENCE });
  await page.click('#log-pause');
  const before = await shown(page);
  await page.waitForFunction(() => /[1-9]/.test(document.querySelector('#log-pause').textContent), null, { timeout: PATIENCE });
  const during = await shown(page);
  check('a pause holds new lines, and counts them', during.length === before.length, await page.textContent('#log-pause'));
  await page.click('#log-pause');
  const after = await shown(page);
  await checkSoon('where the time goes is told while it goes', page, () => parseFloat(document.querySelector('#stage-rendering').style.width) > 0);
  check('going on shows them', after.length > before.length && before.every((line, k) => line === after[k]), `${before.length}, then ${after.length} lines`);
  await jobWhen(server.url, id, ({ state }) => state === 'done', PATIENCE);
  await page.waitForSelector('#download:not([hidden])', { timeout: PATIENCE });
}

async function sifted(page) {
  console.log('\nthe log of a job that is done');
  const all = await shown(page);
  await page.fill('#log-search', 'SEGMENT 0:');
  const found = await shown(page);
  check('a search leaves what has the words', found.length === 1 && found[0].includes('segment 0:') && all.length > 1, `${found.length} of ${all.length}`);
  await shot(page, 'search');
  await page.fill('#log-search', 'zebra');
  check('and says when nothing has', (await shown(page)).length === 0 && (await page.isVisible('#log-none')));
  await page.fill('#log-search', '');
  check('without words everything is back', (await shown(page)).length === all.length && !(await page.isVisible('#log-none')));
  await page.selectOption('#log-level', 'error');
  check('errors alone: there were none', (await shown(page)).length === 0);
  await page.selectOption('#log-level', 'info');
  const [download] = await Promise.all([page.waitForEvent('download'), page.click('#log-save')]);
  const text = await readFile(await download.path(), 'utf8');
  const lines = text.trimEnd().split('\n');
  check('it can be saved', download.suggestedFilename() === 'speech.log' && lines.length === all.length, `${lines.length} lines as ${download.suggestedFilename()}`);
  check('with times and levels', lines.every((line) => /^\d{4}-\d\d-\d\dT[\d:.]+Z (info|warn|error) \S/.test(line)), lines[0]);
  const points = await page.evaluate(() => document.querySelector('#plot-curve').getAttribute('points').trim().split(/\s+/).length);
  check('how fast it went is drawn, from the first segment on', points > 4, `${points} points`);
  const stages = await page.evaluate(() =>
    [...document.querySelectorAll('#stages dl div')].map((line, k) => ({
      name: line.querySelector('dt').textContent,
      secs: line.querySelector('dd').textContent,
      share: parseFloat(document.querySelectorAll('.stages-bar span')[k].style.width),
    })),
  );
  const { progress } = await jobWhen(server.url, new URL(page.url()).pathname.slice('/j/'.length), ({ state }) => state === 'done');
  const told = Object.values(progress.stages).map((secs) => `${secs.toFixed(secs < 99.95 ? 1 : 0)} s`);
  const words = stages.map(({ name, secs }) => `${name} ${secs}`).join(', ');
  check('where the time went is told in words', stages.map(({ secs }) => secs).join() === told.join() && stages.every(({ name }) => name), words);
  check('and drawn', Math.abs(stages.reduce((sum, { share }) => sum + share, 0) - 100) < 0.1 && stages[3].share > 50, stages.map(({ share }) => share).join());
}

/** Who comes later is told the same. */
async function late(url) {
  const { page, troubles, close } = await openPage(browser, url, { locale: 'zh-CN', width: 360, height: 740, dark: true });
  await checkSoon('so it is for who comes later', page, () => document.querySelector('#plot-curve').getAttribute('points').trim().split(/\s+/).length > 4);
  const spoken = await page.evaluate(() => [document.documentElement.lang, document.querySelector('#log .line span').lang, document.querySelector('#log .line span').textContent]);
  check('what the server says is read out in its own language', spoken[0] === 'zh-CN' && spoken[1] === 'en' && spoken[2].length > 5, spoken.join());
  await shot(page, 'late');
  check('nothing went wrong in the browser', troubles.length === 0, troubles.join('; '));
  await close();
}

async function player(page) {
  console.log('\nthe player');
  // However long the steps take, it does not end under them, and has not before.
  await page.evaluate(() => {
    const video = document.querySelector('#video');
    video.loop = true;
    if (video.ended) video.play();
  });
  await page.waitForFunction(() => !document.querySelector('#video').ended, null, { timeout: PATIENCE });
  await plays(page, 0.2, PATIENCE);
  const video = () => page.evaluate(() => {
    const { volume, muted, playbackRate, paused, currentTime } = document.querySelector('#video');
    return { volume, muted, playbackRate, paused, currentTime };
  });
  await page.selectOption('#rate', '1.5');
  check('speed', (await video()).playbackRate === 1.5);
  await page.focus('#toggle');
  await page.keyboard.press('<');
  check('slower by a key', (await video()).playbackRate === 1.25 && (await page.inputValue('#rate')) === '1.25');
  await page.fill('#volume', '0.4');
  check('volume', (await video()).volume === 0.4);
  await page.keyboard.press('m');
  check('a key turns the sound off', (await video()).muted);
  await checkSoon('and the slider shows it', page, () => document.querySelector('#volume').value === '0');
  await page.focus('#toggle');
  await page.keyboard.press('ArrowUp');
  const louder = await video();
  check('another one turns it up', Math.abs(louder.volume - 0.5) < 0.001 && !louder.muted, JSON.stringify(louder));
  await page.keyboard.press('k');
  check('and another one stops it', (await video()).paused);
  await page.keyboard.press('5');
  await checkSoon('digits jump', page, () => Math.abs(document.querySelector('#video').currentTime - 3) < 0.1);
  const at = (secs) => checkSoon(`at ${secs} s`, page, (secs) => Math.abs(document.querySelector('#video').currentTime - secs) < 0.1, secs);
  await page.focus('#seek');
  for (const [key, secs] of [['Home', 0], ['ArrowRight', 5], ['ArrowLeft', 0], ['ArrowUp', 5], ['ArrowDown', 0], ['PageUp', 0.6], ['PageDown', 0], ['End', 5.95], ['ArrowLeft', 0.95], ['ArrowRight', 5.95]]) {
    await page.keyboard.press(key);
    await at(secs);
  }
  await checkSoon('the bar says where that is in words', page, () => document.querySelector('#seek').getAttribute('aria-valuetext') === '5 seconds of 6 seconds');
  await page.focus('#toggle');
  await page.keyboard.press('?');
  check('all keys are listed', (await page.isVisible('#keys')) && (await page.locator('#keys-list kbd').count()) > 10);
  await shot(page, 'keys');
  await page.keyboard.press('Escape');
  check('the list is closed by Escape', !(await page.isVisible('#keys')));
  check('picture-in-picture is offered where the browser has it', (await page.isVisible('#pip')) === (await page.evaluate(() => document.pictureInPictureEnabled)));
  await page.reload();
  await page.waitForSelector('#start:not([hidden])', { timeout: PATIENCE });
  check('the volume is remembered', Math.abs((await video()).volume - 0.5) < 0.001);
}

async function embedded(page) {
  console.log('\nin the page of another site');
  const context = await browser.newContext({ viewport: { width: 800, height: 600 } });
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await page.click('#embed');
  await checkSoon('the page says what to put there', page, () => document.querySelector('#embed').textContent === 'HTML copied');
  const snippet = await page.evaluate(() => navigator.clipboard.readText());
  check('it is a frame', /^<iframe src="http:[^"]+\/embed\/[a-z2-7]{16}" /.test(snippet), snippet);
  const visitor = await context.newPage();
  const troubles = [];
  visitor.on('pageerror', (error) => troubles.push(error.message));
  await visitor.goto(friend.show(snippet));
  const frame = visitor.frameLocator('iframe');
  await frame.locator('#start').click({ timeout: PATIENCE });
  const player = await (await visitor.locator('iframe').elementHandle()).contentFrame();
  await player.waitForFunction(() => document.querySelector('#video').currentTime > 0.5, null, { timeout: PATIENCE });
  check('it plays there', true);
  const seen = await player.evaluate(() => [...document.querySelectorAll('.bar, .side, .screen')].filter((part) => part.checkVisibility()).map((part) => part.className));
  check('and is the video alone', seen.join() === 'screen', seen.join());
  await shot(visitor, 'embedded');
  check('nothing went wrong there', troubles.length === 0, troubles.join('; '));
  const refused = visitor.waitForEvent('console', { predicate: (message) => message.text().includes('frame-ancestors'), timeout: 60_000 });
  await visitor.goto(stranger.show(snippet));
  check('a site that is not allowed gets nothing', (await refused).type() === 'error');
  check('no player is there', (await visitor.frameLocator('iframe').locator('#video').count()) === 0);
  await context.close();
}

/** What went wrong is said where the video is all there is. */
async function embeddedTroubles() {
  console.log('\nwhat goes wrong, in the page of another site');
  const wav = await speech(2);
  const says = (text) => document.querySelector('#screen-trouble').checkVisibility({ visibilityProperty: true }) && document.querySelector('#screen-trouble').textContent.includes(text);
  const cancelled = await createJob(server.url, wav);
  await ask(server.url, `api/v1/jobs/${cancelled.id}/cancel`, { method: 'POST' });
  const { page, close } = await openPage(browser, new URL(`embed/${cancelled.id}`, server.url).href, { width: 480, height: 320 });
  await checkSoon('a video that was cancelled', page, says, 'cancelled');
  await shot(page, 'embedded-cancelled');
  await page.goto(new URL('embed/aaaaaaaaaaaaaaaa', server.url).href);
  await checkSoon('one that is not there', page, says, 'no longer here');
  check('nobody else’s face is shown', !(await page.isVisible('#poster')));
  await shot(page, 'embedded-gone');
  const { id } = await createJob(server.url, wav);
  await page.goto(new URL(`embed/${id}`, server.url).href);
  await page.waitForFunction(() => !['idle', 'loading'].includes(document.querySelector('#screen').dataset.mode), null, { timeout: PATIENCE });
  check('of one that is fine, nothing', !(await page.isVisible('#screen-trouble')));
  await ask(server.url, `api/v1/jobs/${id}`, { method: 'DELETE' });
  await checkSoon('one that is deleted meanwhile', page, says, 'no longer here');
  check('it stays where it is', new URL(page.url()).pathname === `/embed/${id}`, page.url());
  await close();
}

/** A browser that cannot make anything of what it is given. */
async function unplayable(id) {
  console.log('\na video that cannot be played');
  for (const [place, sign] of [['j', '#job-trouble'], ['embed', '#screen-trouble']]) {
    const { page, close } = await openPage(browser, server.url);
    await page.route('**/*.ts', (route) => route.fulfill({ contentType: 'video/mp2t', body: 'This is not a segment. '.repeat(100) }));
    await page.goto(new URL(`${place}/${id}`, server.url).href);
    await checkSoon(`${place}: it is said`, page, (sign) => document.querySelector(sign).checkVisibility() && document.querySelector(sign).textContent.startsWith('The browser cannot play this video'), sign);
    check(`${place}: and nothing is waited for any more`, !(await page.isVisible('#hold')));
    await shot(page, `unplayable-${place}`);
    await close();
  }
}

try {
  const { id } = await createJob(server.url, await speech(1));
  const { page, troubles, close } = await openPage(browser, new URL(`j/${id}`, server.url).href);
  // However long the steps take, it does not end under them.
  await page.evaluate(() => (document.querySelector('#video').loop = true));
  await held(page, id);
  await sifted(page);
  await late(page.url());
  await player(page);
  await embedded(page);
  await embeddedTroubles();
  await unplayable(id);
  check('nothing went wrong in the browser', troubles.length === 0, troubles.join('; '));
  await close();
} catch (error) {
  check(`the test runs to its end: ${error.stack}`, false);
} finally {
  await browser.close();
  await server.stop();
  friend.close();
  stranger.close();
  await rm(data, { recursive: true, force: true });
  finish();
}
