// Avatars on the page: a folder is dropped, the doctor's list is read, the avatar is imported, chosen, and deleted again.
//
// node avatars.mjs [--binary headcast] [--chromium path] [--screenshots folder]

import { copyFile, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { check, checkSoon, commandLine, finish, openPage, root, shooter, startBrowser, startServer } from './harness.mjs';

const options = commandLine();
const PATIENCE = 120_000;

const place = await mkdtemp(join(tmpdir(), 'headcast-avatars-'));
const server = await startServer(options.binary);
const browser = await startBrowser(options.chromium);
const shot = shooter(options);
const fixture = (name) => join(root, 'fixtures/nerf', name);

/** A training run and its subject's data as upstream leaves them, with what nobody needs here. */
async function training() {
  const [run, data] = [join(place, 'good/trial_ann_torso/checkpoints'), join(place, 'good/data/ann')];
  for (const folder of [run, join(data, 'gt_imgs'), join(data, 'parsing')]) await mkdir(folder, { recursive: true });
  await copyFile(fixture('er-torso/ngp.pth'), join(run, 'ngp_ep0034.pth'));
  await writeFile(join(run, 'ngp_ep0012.pth'), 'an older one');
  for (const name of ['transforms_train.json', 'au.csv', 'bc.png']) await copyFile(fixture(`er-torso/${name}`), join(data, name));
  await writeFile(join(data, 'track_params.pt'), 'no network');
  for (let frame = 0; frame < 150; frame += 1) {
    await writeFile(join(data, 'gt_imgs', `${frame}.jpg`), 'a picture');
    await writeFile(join(data, 'parsing', `${frame}.png`), 'a picture');
  }
  return join(place, 'good');
}

/** A head without a torso net, with the captured torsos that it needs. */
async function head() {
  const folder = join(place, 'bob');
  await mkdir(join(folder, 'torso_imgs'), { recursive: true });
  for (const name of ['ngp.pth', 'transforms_train.json', 'bc.png']) await copyFile(fixture(`rad-head/${name}`), join(folder, name));
  for (let frame = 0; frame < 40; frame += 1) await copyFile(fixture('rad-head/bc.png'), join(folder, 'torso_imgs', `${frame}.png`));
  return folder;
}

/** Drops files or folders of the disk, as a mouse would. */
async function drop(page, selector, files) {
  await page.evaluate((selector) => document.querySelector(selector).scrollIntoView({ block: 'center' }), selector);
  const { x, y, width, height } = await page.locator(selector).boundingBox();
  const session = await page.context().newCDPSession(page);
  const data = { items: [], files, dragOperationsMask: 1 };
  for (const type of ['dragEnter', 'dragOver', 'drop']) {
    await session.send('Input.dispatchDragEvent', { type, x: x + width / 2, y: y + height / 2, data });
  }
  await session.detach();
}

const open = (page) => page.evaluate(() => (document.querySelector('#avatars').open = true));
const press = (page, selector) => page.evaluate((selector) => document.querySelector(selector).click(), selector);
const faces = (page) => page.evaluate(() => [...document.querySelectorAll('.face input')].map((input) => ({ name: input.value, checked: input.checked })));

/** The list, once a line of it is in this state. */
async function checks(page, item, state) {
  await page.waitForSelector(`.check[data-item="${item}"][data-state="${state}"]`, { state: 'attached', timeout: PATIENCE });
  await page.waitForSelector('#avatar-working', { state: 'hidden', timeout: PATIENCE });
  return page.evaluate(() =>
    Object.fromEntries(
      [...document.querySelectorAll('.check')].map((line) => [
        line.dataset.item,
        { state: line.dataset.state, text: line.querySelector('.check-text').textContent },
      ]),
    ),
  );
}

/** Files that the server keeps, below its uploads. */
async function uploads() {
  const names = await readdir(join(server.data, 'uploads'), { recursive: true, withFileTypes: true });
  return names.filter((entry) => entry.isFile()).map((entry) => entry.name).sort();
}

async function broken(page) {
  console.log('a broken folder');
  const folder = join(place, 'broken');
  await mkdir(folder);
  await writeFile(join(folder, 'ngp.pth'), '<!doctype html><p>Sign in to download');
  await drop(page, '#avatar-drop', [folder]);
  const list = await checks(page, 'checkpoint', 'unusable');
  check('a web page instead of a checkpoint is recognised', list.checkpoint.text.includes('web page'), list.checkpoint.text);
  check('what is missing says where upstream keeps it', list.poses.state === 'missing' && list.poses.text.includes('data/<ID>'), list.poses.text);
  check('it cannot be imported', await page.locator('#avatar-import').isDisabled());
  await shot(page, 'avatars-broken');
  await press(page, '#avatar-clear');
  await page.waitForSelector('.check', { state: 'detached', timeout: PATIENCE });
  const end = Date.now() + PATIENCE;
  while ((await uploads()).length > 0 && Date.now() < end) await page.waitForTimeout(50);
  check('starting over deletes the files', (await uploads()).length === 0);

  await drop(page, '#avatar-drop', [join(place, 'good/data/ann/gt_imgs')]);
  await page.waitForSelector('#avatar-trouble:not([hidden])', { timeout: PATIENCE });
  check('pictures alone are no avatar', (await page.textContent('#avatar-trouble')).includes('None of these files belong'));
}

async function good(page, folder) {
  console.log('\na training run and its data');
  await page.evaluate(() => (window.sameDocument = true));
  // Anywhere on the page: a folder is no recording.
  await drop(page, '#drop', [folder]);
  const list = await checks(page, 'checkpoint', 'fine');
  check('everything is there', ['poses', 'background', 'eyes', 'torso', 'fit'].every((item) => list[item].state === 'fine'), JSON.stringify(list));
  check('the recording is left alone', !(await page.evaluate(() => document.querySelector('#drop').classList.contains('chosen'))));
  const sum = await page.textContent('#avatar-picked-sum');
  check('it says what was taken of how much', /4 of 306 files/.test(sum), sum);
  const paths = await page.evaluate(() => [...document.querySelectorAll('#avatar-picked-list li')].map((line) => line.textContent));
  check('the newest checkpoint is named', paths.includes('good/trial_ann_torso/checkpoints/ngp_ep0034.pth'), paths.join(', '));
  check('nothing else was sent', (await uploads()).join() === 'au.csv,bc.png,ngp_ep0034.pth,transforms_train.json', (await uploads()).join());
  check('the name is that of the run', (await page.inputValue('#avatar-name')) === 'ann', await page.inputValue('#avatar-name'));
  await page.fill('#avatar-credits', 'Made by a test');
  await shot(page, 'avatars-report');

  await page.fill('#avatar-name', 'milo');
  await press(page, '#avatar-import');
  await page.waitForSelector('#avatar-trouble:not([hidden])', { timeout: PATIENCE });
  check('the name of another one is refused', (await page.textContent('#avatar-trouble')).includes('part of the program'));
  await page.fill('#avatar-name', 'ann');
  await press(page, '#avatar-import');
  await page.waitForFunction(() => document.querySelector('.face input[value=ann]')?.checked, null, { timeout: PATIENCE });
  await page.waitForSelector('#avatar-said:not([hidden])', { timeout: PATIENCE });
  check('it is in the gallery and chosen, without a reload', await page.evaluate(() => window.sameDocument === true));
  const picture = await page.evaluate(async () => (await fetch(document.querySelector('.face:has([value=ann]) img').src)).headers.get('content-type'));
  check('its picture is rendered', picture === 'image/png', picture);
  await page.hover('.face:has([value=ann])');
  await checkSoon('and speaks when it is pointed at', page, () => document.querySelector('.face:has([value=ann]) video')?.currentTime > 0.2);
  await page.hover('#drop');
  await checkSoon('and only then', page, () => document.querySelector('.face:has([value=ann]) video') === null);
  await page.focus('.face input[value=milo]');
  await checkSoon('likewise when it has the focus', page, () => document.querySelector('.face:has([value=milo]) video')?.currentTime > 0.2);
  check('its files are gone from the uploads', (await uploads()).length === 0, (await uploads()).join());
  await page.waitForSelector('.avatar-row[data-name=ann]', { timeout: PATIENCE });
  const row = await page.textContent('.avatar-row[data-name=ann]');
  check('its credits are shown', row.includes('Made by a test') && row.includes('64 × 64'), row);
  check('the built-in one has credits and cannot be deleted', await page.evaluate(() => {
    const row = document.querySelector('.avatar-row[data-name=milo]');
    return row.textContent.includes('ICT') && !row.querySelector('.avatar-delete');
  }));
  await shot(page, 'avatars-imported');
}

async function steps(page, folder) {
  console.log('\na head, and the torsos that it asks for');
  await drop(page, '#avatar-drop', [folder]);
  const list = await checks(page, 'torso', 'fine');
  check('the torsos were sent in a second step', list.eyes.state === 'warning' && list.checkpoint.state === 'fine', JSON.stringify(list.torso));
  const sent = (await uploads()).filter((name) => /^\d+\.png$/.test(name));
  check('of them those of the poses', sent.length === 10, `${sent.length} of 40`);
  await press(page, '#avatar-import');
  await page.waitForFunction(() => document.querySelector('.face input[value=bob]')?.checked, null, { timeout: PATIENCE });
  await page.waitForSelector('.avatar-row[data-name=bob] .avatar-delete', { timeout: PATIENCE });
  check('it is imported with them', (await readdir(join(server.data, 'avatars/bob/torso'))).length === 10);
}

async function deletes(page) {
  console.log('\ndeleting');
  await press(page, '.avatar-row[data-name=bob] .avatar-delete');
  await page.waitForSelector('.avatar-row[data-name=bob] .avatar-keep', { timeout: PATIENCE });
  check('it asks first, and the safe answer has the focus', await page.evaluate(() => document.activeElement.classList.contains('avatar-keep')));
  await shot(page, 'avatars-delete');
  await press(page, '.avatar-keep');
  await page.waitForSelector('.avatar-keep', { state: 'detached', timeout: PATIENCE });
  check('who keeps it, keeps it', (await faces(page)).some(({ name }) => name === 'bob'));
  for (const name of ['bob', 'ann']) {
    await press(page, `.avatar-row[data-name=${name}] .avatar-delete`);
    await page.waitForSelector('.avatar-sure', { timeout: PATIENCE });
    await press(page, '.avatar-sure');
    await page.waitForSelector(`.avatar-row[data-name=${name}]`, { state: 'detached', timeout: PATIENCE });
  }
  const left = await faces(page);
  check('only the built-in one is left, and it is chosen', left.length === 1 && left[0].name === 'milo' && left[0].checked, JSON.stringify(left));
  check('on the disk, too', (await readdir(join(server.data, 'avatars'))).length === 0);
}

/** The same in other sizes, colours and words, where it is looked at. */
async function looks(folder) {
  console.log('\nother sizes and languages');
  for (const [locale, width, dark] of [['zh-CN', 360, true], ['zh-CN', 1440, false], ['en-US', 360, false], ['en-US', 1440, true]]) {
    const { page, troubles, close } = await openPage(browser, server.url, { locale, width, dark });
    await open(page);
    await page.setInputFiles('#avatar-folder', join(folder, 'trial_ann_torso'));
    const list = await checks(page, 'poses', 'missing');
    const name = `avatars-${locale}-${width}-${dark ? 'dark' : 'light'}`;
    check(`${name}: in its own words`, /[一-鿿]/.test(list.poses.text) === locale.startsWith('zh'), list.poses.text);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    check(`${name}: nothing sticks out`, wide <= 0, `${wide} px`);
    const small = await page.evaluate(() =>
      [...document.querySelectorAll('#avatars button, #avatars summary, #avatars input:not([type=checkbox])')]
        .filter((target) => target.getClientRects().length > 0 && target.getBoundingClientRect().height < 44)
        .map((target) => target.id || target.className),
    );
    check(`${name}: everything can be hit with a thumb`, small.length === 0, small.join(', '));
    await shot(page, name);
    await press(page, '#avatar-clear');
    await page.waitForSelector('.check', { state: 'detached', timeout: PATIENCE });
    check(`${name}: nothing went wrong in the browser`, troubles.length === 0, troubles.join('; '));
    await close();
  }
}

try {
  const [run, bob] = [await training(), await head()];
  const { page, troubles, close } = await openPage(browser, server.url);
  await open(page);
  await broken(page);
  await good(page, run);
  await steps(page, bob);
  await deletes(page);
  // The refusal of the name is what the test asked for.
  const others = troubles.filter((trouble) => !/409/.test(trouble));
  check('nothing went wrong in the browser', others.length === 0, others.join('; '));
  await close();
  await looks(run);
} finally {
  await browser.close();
  await server.stop();
  await rm(place, { recursive: true, force: true });
}
finish();
