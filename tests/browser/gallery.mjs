// The videos that were made: shown, searched, renamed, made again with another face or other words, thrown away, and
// brought back.
//
// node gallery.mjs [--binary headcast] [--chromium path] [--screenshots folder]

import { rm } from 'node:fs/promises';
import {
  ask, check, checkSoon, commandLine, createJob, dataFolderWithCube, finish, jobWhen, openPage, shooter, speech, startBrowser, startServer,
} from './harness.mjs';

const options = commandLine();
const PATIENCE = 240_000;
const NAMES = ['one', 'two', 'three', 'four', 'five', 'six', 'seven'];

const data = await dataFolderWithCube(options.binary);
const server = await startServer(options.binary, { data });
const browser = await startBrowser(options.chromium);
const shot = shooter(options);

const exists = (id) => fetch(new URL(`api/v1/jobs/${id}`, server.url)).then(({ status }) => status === 200);

/** Waits for the list to be of these videos, in this order. */
const lists = (what, page, names) =>
  checkSoon(what, page, (names) => [...document.querySelectorAll('.recent-name')].map((name) => name.textContent).join() === names, names.map((name) => `${name}.wav`).join());

async function keeps() {
  const wav = await speech(1);
  const ids = {};
  for (const name of NAMES) {
    const { id } = await createJob(server.url, wav, { name: `${name}.wav` });
    ids[name] = id;
    await jobWhen(server.url, id, ({ state }) => state === 'done', PATIENCE);
  }
  const { page, troubles, close } = await openPage(browser, server.url);
  await lists('the last five are shown, the newest first', page, ['seven', 'six', 'five', 'four', 'three']);
  await shot(page, 'few');
  await page.click('#recent-more');
  await lists('the others on request', page, NAMES.toReversed());
  check('and then there are no more', !(await page.isVisible('#recent-more')));
  await page.fill('#recent-search', 'T');
  await lists('they are searched', page, ['three', 'two']);
  await page.fill('#recent-search', 'zebra');
  await checkSoon('and none is said to be none', page, () => document.querySelector('#recent-none').checkVisibility());
  await page.fill('#recent-search', '');
  await lists('without words all are back', page, NAMES.toReversed());

  await renames(page, ids);

  await page.click('[aria-label="Delete “six.wav”"]');
  await lists('what is deleted is gone', page, NAMES.toReversed().filter((name) => name !== 'six'));
  await page.click('#undo-button');
  await lists('and taken back it is there again', page, NAMES.toReversed());
  check('with the focus where it was', (await focused(page)) === 'Delete “six.wav”', await focused(page));
  await page.click('[aria-label="Delete “five.wav”"]');
  // Asks the server, which has it still.
  const told = page.waitForResponse((answer) => new URL(answer.url()).pathname === '/api/v1/jobs', { timeout: PATIENCE });
  await page.fill('#recent-search', 'w');
  await (await told).finished();
  await lists('what is deleted does not come back with what the server tells', page, NAMES.toReversed().filter((name) => name !== 'five'));
  await shot(page, 'undo');
  await page.fill('#recent-search', '');
  await page.click('[aria-label="Delete “four.wav”"]');
  await page.waitForSelector('#undo', { state: 'hidden', timeout: PATIENCE });
  for (const name of ['five', 'four']) await jobIsGone(ids[name]);
  check('left alone, they are deleted on the server', true);
  check('and the other one is not', await exists(ids.six));
  await page.click('[aria-label="Delete “three.wav”"]');
  await page.goto('about:blank');
  await jobIsGone(ids.three);
  check('so they are when the page is left', true);
  check('nothing went wrong in the browser', troubles.length === 0, troubles.join('; '));
  await close();
  return ids;
}

const focused = (page) => page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.id ?? '');

/** Waits until the server calls a job so. */
async function isCalled(what, id, title) {
  const job = await jobWhen(server.url, id, () => true);
  for (let tries = 0; tries < 600 && job.title !== title; tries += 1) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    Object.assign(job, await ask(server.url, `api/v1/jobs/${id}`));
  }
  check(what, job.title === title, job.title);
}

/** By keys alone, in the list and on the page of a video; and back. */
async function renames(page, ids) {
  const shows = (what, page, title) => checkSoon(what, page, (title) => document.querySelector('#job-title').textContent === title && document.title.startsWith(title), title);
  const names = () => page.$$eval('.recent-name', (names) => names.map((name) => name.textContent).join());
  await page.focus('[aria-label="Rename “two.wav”"]');
  await page.keyboard.press('Enter');
  await page.waitForSelector('.recent input.rename');
  check('a field takes the place of the name, and has the focus', await page.evaluate(() => document.activeElement?.matches('input.rename') && /** @type {any} */ (document.activeElement).value === 'two.wav'));
  await shot(page, 'rename');
  await page.keyboard.type('Nonsense');
  await page.keyboard.press('Escape');
  check('Escape leaves it as it was', (await names()) === NAMES.toReversed().map((name) => `${name}.wav`).join(), await names());
  check('and the button has the focus again', await page.evaluate(() => document.activeElement?.getAttribute('aria-label') === 'Rename “two.wav”'));
  await page.keyboard.press('Enter');
  await page.keyboard.type('Deux');
  await page.keyboard.press('Enter');
  await checkSoon('Enter saves it', page, () => [...document.querySelectorAll('.recent-name')].some((name) => name.textContent === 'Deux'));
  check('and leaves the focus where it was', (await focused(page)) === 'Rename “Deux”', await focused(page));
  await isCalled('for everyone', ids.two, 'Deux');
  await page.fill('#recent-search', 'deux');
  await checkSoon('it is found by its new name', page, () => [...document.querySelectorAll('.recent-name')].map((name) => name.textContent).join() === 'Deux');
  await page.fill('#recent-search', '');
  await checkSoon('among the others again', page, (count) => document.querySelectorAll('.recent-name').length === count, NAMES.length);

  const first = await openPage(browser, `${server.url}j/${ids.two}`);
  const second = await openPage(browser, `${server.url}j/${ids.two}`, { context: first.context });
  await shows('its page is called the same', second.page, 'Deux');
  await shows('in both tabs', first.page, 'Deux');
  await first.page.click('#rename');
  await first.page.keyboard.type('Zwei 二');
  await first.page.keyboard.press('Enter');
  await shows('renamed there', first.page, 'Zwei 二');
  await shows('the other tab knows without a reload', second.page, 'Zwei 二');
  await first.page.click('#rename');
  await first.page.keyboard.press('Delete');
  await first.page.keyboard.press('Enter');
  await shows('without a name it is called after its recording', first.page, 'two.wav');
  const troubles = [...first.troubles, ...second.troubles];
  check('nothing went wrong in these tabs', troubles.length === 0, troubles.join('; '));
  await second.close();
  await first.close();
  await page.reload();
  await page.waitForSelector('.face', { state: 'attached' });
  await page.click('#recent-more');
  await lists('the list has the old name, too', page, NAMES.toReversed());
}

async function jobIsGone(id) {
  const end = Date.now() + 60_000;
  while (await exists(id)) {
    if (Date.now() > end) throw new Error(`job ${id} is still there`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function again(ids) {
  console.log('\nby another face');
  const { page, troubles, close } = await openPage(browser, server.url, { locale: 'zh-CN', width: 360, height: 740, dark: true });
  await lists('what is left is shown', page, ['seven', 'six', 'two', 'one']);
  const cut = await page.$$eval('.recent-name', (names) => names.filter((name) => name.scrollWidth > name.clientWidth).length);
  check('there is room for the names on a telephone', cut === 0, `${cut} are cut`);
  await page.click('[aria-label="删除“one.wav”"]');
  await page.waitForSelector('#undo:not([hidden])', { timeout: PATIENCE });
  const toast = await page.evaluate(() => {
    const { left, right } = document.querySelector('#undo').getBoundingClientRect();
    const words = document.querySelector('#undo-text');
    return { words: words.textContent, isCut: words.scrollWidth > words.clientWidth, isCentred: Math.abs(left - (innerWidth - right)) < 1, left };
  });
  check('what was deleted can be read on a telephone', !toast.isCut && toast.isCentred && toast.left >= 16, JSON.stringify(toast));
  await page.click('#undo-button');
  await lists('and brought back', page, ['seven', 'six', 'two', 'one']);
  await page.click('.face:has(input[value=milo])');
  await page.click('[aria-label*="再说一遍"][aria-label*="seven.wav"]');
  await page.waitForFunction(() => location.pathname.startsWith('/j/'), null, { timeout: PATIENCE });
  const id = new URL(page.url()).pathname.slice('/j/'.length);
  const job = await ask(server.url, `api/v1/jobs/${id}`);
  check('the same sound is spoken by the chosen face', job.avatar === 'milo' && job.audio_name === 'seven.wav' && id !== ids.seven, `${job.avatar}, ${job.audio_name}`);
  await shot(page, 'again');
  check('nothing went wrong in the browser', troubles.length === 0, troubles.join('; '));
  // With nobody there: whoever waits for a list is told that there will be none.
  await close();
  await ask(server.url, `api/v1/jobs/${id}/cancel`, { method: 'POST' });
}

async function otherWords() {
  console.log('\nother words');
  const wish = { name: 'green.wav', avatar: 'milo', body: 'eyes=0 background=#00b140' };
  const { id } = await createJob(server.url, await speech(1), wish);
  await ask(server.url, `api/v1/jobs/${id}/cancel`, { method: 'POST' });
  const { page, troubles, close } = await openPage(browser, server.url);
  await page.click('.face:has(input[value=cube])');
  await page.setInputFiles('#audio', { name: 'words.wav', mimeType: 'audio/wav', buffer: await speech(1) });
  await page.click('[aria-label="Let the face of “green.wav” say something else"]');
  const form = await page.evaluate(() => ({
    ...Object.fromEntries(['background', 'colour', 'eyes', 'poses'].map((name) => [name, document.querySelector(`#${name}`).value])),
    avatar: document.querySelector('input[name=avatar]:checked').value,
    file: document.querySelector('#drop-title').textContent,
    seen: document.querySelector('#eyes').checkVisibility(),
    focus: document.activeElement?.id,
  }));
  const wanted = { background: 'colour', colour: '#00b140', eyes: '0', poses: 'loop', avatar: 'milo', file: 'words.wav', seen: true, focus: 'audio' };
  check('the form is filled in as it was for that video', Object.keys(wanted).every((name) => form[name] === wanted[name]), JSON.stringify(form));
  await shot(page, 'words');
  await page.click('#generate');
  await page.waitForFunction(() => location.pathname.startsWith('/j/'), null, { timeout: PATIENCE });
  const made = new URL(page.url()).pathname.slice('/j/'.length);
  const job = await ask(server.url, `api/v1/jobs/${made}`);
  const words = (body) => body.split(' ').sort().join(' ');
  const same = job.avatar === wish.avatar && words(job.body) === words(wish.body);
  check('the same face says something else in the same way', same && job.audio_name === 'words.wav', `${job.avatar}, ${job.body}, ${job.audio_name}`);
  check('nothing went wrong in the browser', troubles.length === 0, troubles.join('; '));
  await close();
  await ask(server.url, `api/v1/jobs/${made}/cancel`, { method: 'POST' });
}

/** Whose avatar is deleted has no other one's face, name or shape. */
async function faceless(id) {
  console.log('\nwithout its avatar');
  await ask(server.url, 'api/v1/avatars/cube', { method: 'DELETE' });
  const { page, troubles, close } = await openPage(browser, server.url);
  await page.route(`**/jobs/${id}/poster*`, (route) =>
    route.fulfill({ contentType: 'image/svg+xml', body: '<svg xmlns="http://www.w3.org/2000/svg" width="60" height="90"><rect width="60" height="90" fill="green"/></svg>' }),
  );
  check('another face has its own credits', (await page.textContent('#credit')).includes('ICT'), await page.textContent('#credit'));
  await page.goto(new URL(`j/${id}`, server.url).href);
  await page.waitForSelector('#download:not([hidden])', { timeout: PATIENCE });
  const { links } = await ask(server.url, `api/v1/jobs/${id}`);
  await checkSoon('its first picture stands for it', page, (poster) => document.querySelector('#poster').getAttribute('src') === poster && document.querySelector('#poster').checkVisibility(), links.poster);
  check('without the credits of another one', (await page.textContent('#credit')) === '', await page.textContent('#credit'));
  await checkSoon('in its own shape', page, () => Math.abs(document.querySelector('#screen').clientWidth / document.querySelector('#screen').clientHeight - 60 / 90) < 0.01);
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  // It is hidden where nobody may embed it.
  await page.evaluate(() => document.querySelector('#embed').click());
  await checkSoon('and so it is embedded', page, async () => (await navigator.clipboard.readText()).includes('aspect-ratio: 60 / 90'));
  await shot(page, 'faceless');
  check('nothing went wrong in the browser', troubles.length === 0, troubles.join('; '));
  await close();
}

try {
  const ids = await keeps();
  await again(ids);
  await otherWords();
  await faceless(ids.one);
} catch (error) {
  check(`the test runs to its end: ${error.stack}`, false);
} finally {
  await browser.close();
  await server.stop();
  await rm(data, { recursive: true, force: true });
  finish();
}
