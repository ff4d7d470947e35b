// A machine that is slower than speech: how long it takes is said, nobody has to wait, nine tabs watch at once, and a
// recording that turns out to be broken ends in a sentence.
//
// node patience.mjs [--binary headcast] [--chromium path] [--screenshots folder]

import { rm } from 'node:fs/promises';
import { ask, check, checkSoon, commandLine, createJob, dataFolderWithCube, finish, jobWhen, openPage, plays, shooter, speech, startBrowser, startServer } from './harness.mjs';

const options = commandLine();
const PATIENCE = 240_000;
/** A quarter of the clip's speed, whatever the machine; planned for speed, so that there is a first picture early. */
const PACE = ['--max-fps', '6', '--assume-fps', '60'];
/** Browsers open six connections to a server: a page that held one would keep the seventh tab waiting. */
const TABS = 9;

const data = await dataFolderWithCube(options.binary);
const server = await startServer(options.binary, { data, args: PACE });
const browser = await startBrowser(options.chromium);
const shot = shooter(options);

/** Seconds of sound of which one sample, at `nanAt` seconds, is no number: the header tells nothing of it. */
function brokenRecording(secs, nanAt) {
  const rate = 16_000;
  const wav = Buffer.alloc(44 + 4 * rate * secs);
  wav.write('RIFF', 0);
  wav.writeUInt32LE(wav.length - 8, 4);
  wav.write('WAVEfmt ', 8);
  wav.writeUInt32LE(16, 16);
  wav.writeUInt16LE(3, 20);
  wav.writeUInt16LE(1, 22);
  wav.writeUInt32LE(rate, 24);
  wav.writeUInt32LE(4 * rate, 28);
  wav.writeUInt16LE(4, 32);
  wav.writeUInt16LE(32, 34);
  wav.write('data', 36);
  wav.writeUInt32LE(wav.length - 44, 40);
  for (let k = 0; k < rate * secs; k += 1) wav.writeFloatLE(k === rate * nanAt ? NaN : 0.2 * Math.sin(k / 20), 44 + 4 * k);
  return wav;
}

async function slow() {
  console.log('a renderer that is slower than the clip');
  const { id } = await createJob(server.url, await speech(10));
  const { page, troubles, close } = await openPage(browser, `${server.url}j/${id}`);
  await checkSoon('the page says when it plays through', page, () => {
    const text = document.querySelector('#hold').checkVisibility() ? document.querySelector('#hold-text').textContent : '';
    return /^Plays without a pause in about \d/.test(text);
  });
  await checkSoon('and that it is slower than real time', page, () => document.querySelector('#pace').textContent.startsWith('Rendering is slower than real time'));
  await checkSoon('in numbers, too', page, () => {
    const times = Number.parseFloat(document.querySelector('#fact-speed').textContent);
    return times > 0 && times < 1;
  });
  await checkSoon('and how much is left', page, () => /\d.* left/.test(document.querySelector('#eta').textContent));
  await shot(page, 'hold');
  // What the pointer finds near the end of the bar: asked again and again, as the tip answers to movements.
  const tip = await page
    .waitForFunction(() => {
      const seek = document.querySelector('#seek');
      const box = seek.getBoundingClientRect();
      const at = { clientX: box.left + 0.95 * box.width, clientY: box.top + box.height / 2, bubbles: true };
      seek.dispatchEvent(new PointerEvent('pointermove', at));
      const text = document.querySelector('#tip').textContent;
      return /not generated yet, about \d/.test(text) && text;
    }, null, { timeout: PATIENCE })
    .then((found) => found.jsonValue(), () => '');
  check('a part that is not made says when it will be', tip.startsWith('0:5'), tip);
  await plays(page, 0.5, PATIENCE);
  const { state } = await ask(server.url, `api/v1/jobs/${id}`);
  check('who does not want to wait watches at once', state === 'rendering', state);
  await takesAPart(page, 'what there is of it can be taken along');

  console.log(`\n${TABS} tabs`);
  const { context, page: first, troubles: all } = await openPage(browser, `${server.url}j/${id}`);
  const tabs = [{ page: first, troubles: all }];
  while (tabs.length < TABS) tabs.push(await openPage(browser, `${server.url}j/${id}`, { context }));
  let watching = 0;
  for (const { page } of tabs) {
    await plays(page, 0.2, PATIENCE);
    watching += 1;
  }
  const job = await ask(server.url, `api/v1/jobs/${id}`);
  check('all of them play while it is being rendered', watching === TABS && job.state === 'rendering', `${watching} tabs, ${job.progress.frames} of ${job.progress.total} frames`);
  await page.focus('#seek');
  await page.keyboard.press('End');
  await checkSoon('who hears the page hears that, too', page, () => /^(59 seconds|1 minute) of 1 minute, not generated yet, about \d/.test(document.querySelector('#seek').getAttribute('aria-valuetext')));
  await ask(server.url, `api/v1/jobs/${id}/cancel`, { method: 'POST' });
  for (const { page } of tabs) await page.waitForFunction(() => document.querySelector('#panel').dataset.state === 'cancelled', null, { timeout: PATIENCE });
  check('and all of them hear that it is cancelled', true);
  await takesAPart(first, 'what was made of it is still there');
  check('nothing went wrong in any of them', tabs.every(({ troubles }) => troubles.length === 0), tabs.flatMap(({ troubles }) => troubles).join('; '));
  check('nor in the first page', troubles.length === 0, troubles.join('; '));
  await context.close();
  await close();
}

/** The file as far as it is made, behind the button of the page. */
async function takesAPart(page, what) {
  await page.waitForSelector('#download-part[href]', { timeout: PATIENCE });
  const words = (await page.textContent('#download-part')).trim();
  const answer = await fetch(new URL(await page.getAttribute('#download-part', 'href'), server.url));
  const file = Buffer.from(await answer.arrayBuffer());
  const name = answer.headers.get('content-disposition') ?? '';
  const isFile = file.includes('moov') && file.includes('mdat') && name.includes('-partial.mp4');
  check(what, /^Download up to 0:\d\d$/.test(words) && isFile, `${words}, ${file.length} bytes, ${name}`);
}

async function failing() {
  console.log('\na recording that turns out to be broken');
  const { page, close } = await openPage(browser, server.url);
  await page.setInputFiles('#audio', { name: 'broken.wav', mimeType: 'audio/wav', buffer: brokenRecording(5, 3) });
  await page.evaluate(() => document.querySelector('.face input[value=cube]').click());
  await page.evaluate(() => document.querySelector('#generate').click());
  await page.waitForFunction(() => document.querySelector('#panel').dataset.state === 'failed', null, { timeout: PATIENCE });
  const { trouble, words } = await page.evaluate(() => ({
    trouble: document.querySelector('#job-trouble').textContent,
    words: document.querySelector('#job-state').textContent,
  }));
  check('the page says what is wrong, where, and what to do', /NaN/.test(trouble) && /3\.0/.test(trouble) && /export it again/.test(trouble), trouble);
  check('the state is told in words', words === 'It did not work', words);
  await checkSoon('the log has it, too', page, () => [...document.querySelectorAll('#log .line')].some((line) => line.textContent.includes('NaN')));
  await shot(page, 'failed');
  await page.evaluate(() => document.querySelector('#again').click());
  await checkSoon('another one can be begun', page, () => document.querySelector('#generate').checkVisibility());
  await close();
}

try {
  await slow();
  await failing();
} catch (error) {
  check(`the test runs to its end: ${error.stack}`, false);
  console.log(server.output());
} finally {
  await browser.close();
  await server.stop();
  await rm(data, { recursive: true, force: true });
}
finish();
