// Pictures of the page for the documentation and for looking at: the form, a video that is rendered, a finished one, the last
// videos and the avatars; on a phone, a tablet and a large screen, by day and by night, in English and Chinese.
//
// node pictures.mjs --screenshots folder [--binary headcast] [--chromium path] [--only create,watching,finished,gallery,avatars]
//
// docs/img/page is made of them: for picture in folder/*.png; do convert "$picture" -quality 62 -define webp:method=6 docs/img/page/….webp; done

import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ask, commandLine, createJob, dataFolderWithCube, jobWhen, openPage, plays, root, speech, startBrowser, startServer } from './harness.mjs';

const options = commandLine({
  binary: { type: 'string', default: process.env.HEADCAST_BIN ?? join(root, 'target/release/headcast') },
  screenshots: { type: 'string', default: 'pictures' },
  only: { type: 'string', default: 'create,watching,finished,gallery,avatars' },
});
const PATIENCE = 240_000;
const WIDTHS = { 360: 780, 768: 1024, 1440: 900 };
const LOOKS = Object.entries(WIDTHS).flatMap(([width, height]) =>
  [false, true].flatMap((dark) => ['en-US', 'zh-CN'].map((locale) => ({ width: Number(width), height, dark, locale }))),
);

const data = await dataFolderWithCube(options.binary);
const server = await startServer(options.binary, { data });
const browser = await startBrowser(options.chromium, ['--autoplay-policy=no-user-gesture-required']);
await mkdir(options.screenshots, { recursive: true });

/** Says `secs` seconds, six at a time. */
async function job(name, secs, avatar, profile = 'preview') {
  const form = new FormData();
  form.set('avatar', avatar);
  form.set('profile', profile);
  form.set('audio', new Blob([await speech(secs / 6)]), name);
  return ask(server.url, 'api/v1/jobs', { method: 'POST', body: form });
}
const done = ({ state }) => state === 'done';

/** What each picture shows: what there must be for it, and how a page comes there. */
const STATES = {
  async create() {
    return async (page, { locale }) => {
      const name = locale === 'zh-CN' ? '产品介绍.wav' : 'Product tour.wav';
      await page.setInputFiles('#audio', { name, mimeType: 'audio/wav', buffer: await speech(2) });
      await page.waitForSelector('#trim-start:not([hidden])', { timeout: PATIENCE });
      await page.focus('#trim-start');
      await page.keyboard.press('PageUp');
    };
  },
  async finished() {
    const { id } = await job('Product tour.wav', 6, 'milo');
    await jobWhen(server.url, id, done, PATIENCE);
    return async (page) => {
      await page.goto(new URL(`j/${id}`, server.url).href);
      await page.waitForSelector('#download:not([hidden])', { timeout: PATIENCE });
      await plays(page, 1, PATIENCE);
      await page.evaluate(() => document.querySelector('#video').pause());
      await page.waitForFunction(() => document.querySelectorAll('#log .line').length > 3, null, { timeout: PATIENCE });
    };
  },
  async gallery() {
    for (const name of ['Welcome.m4a', '周报.wav', 'Safety briefing.mp3']) {
      const { id } = await createJob(server.url, await speech(1), { name });
      await jobWhen(server.url, id, done, PATIENCE);
    }
    return async (page) => {
      await page.waitForSelector('#recent-list li', { timeout: PATIENCE });
      await page.waitForFunction(() => [...document.querySelectorAll('#recent-list img')].every((image) => image.complete), null, { timeout: PATIENCE });
      await page.evaluate(() => document.querySelector('#recent').scrollIntoView({ block: 'center' }));
    };
  },
  async avatars() {
    return async (page) => {
      await page.click('#avatars-summary');
      await page.waitForFunction(() => document.querySelectorAll('#avatar-list li').length > 1, null, { timeout: PATIENCE });
      await page.evaluate(() => document.querySelector('#avatars').scrollIntoView({ block: 'start' }));
    };
  },
  async watching() {
    const { id } = await job('Product tour.wav', 240, 'milo');
    await jobWhen(server.url, id, ({ progress }) => progress.frames > 60, PATIENCE);
    return async (page) => {
      await page.goto(new URL(`j/${id}`, server.url).href);
      await plays(page, 0.6, PATIENCE);
      await page.evaluate(() => document.querySelector('#video').pause());
      await page.waitForFunction(() => document.querySelectorAll('#log .line').length > 3, null, { timeout: PATIENCE });
    };
  },
};

try {
  for (const [state, prepare] of Object.entries(STATES)) {
    if (!options.only.split(',').includes(state)) continue;
    const come = await prepare();
    for (const look of LOOKS) {
      const { page, troubles, close } = await openPage(browser, server.url, look);
      await page.waitForSelector('html.ready');
      await come(page, look);
      const name = `${state}-${look.width}-${look.dark ? 'dark' : 'light'}-${look.locale.slice(0, 2)}`;
      await page.mouse.move(0, 0);
      await page.evaluate(() => document.activeElement?.blur());
      // Transitions end, and what is drawn with the screen is drawn.
      await page.waitForTimeout(400);
      await page.screenshot({ path: join(options.screenshots, `${name}.png`) });
      console.log(`${name}${troubles.length ? `: ${troubles.join('; ')}` : ''}`);
      await close();
    }
  }
} finally {
  await browser.close();
  await server.stop();
  await rm(data, { recursive: true, force: true });
}
