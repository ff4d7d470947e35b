// @gradio/client under Node against `headcast serve`.
//
// node check_js.mjs URL GUARDED_URL FRAMES (of long.wav), in a folder with speech.wav, long.wav and notes.wav; the second server asks for
// ann:correct horse.

import { readFile } from 'node:fs/promises';
import { Client, handle_file } from '@gradio/client';

const [url, guarded, frames] = process.argv.slice(2);
const version = JSON.parse(await readFile(new URL('node_modules/@gradio/client/package.json', import.meta.url), 'utf8')).version;
let passed = 0;
let failed = 0;

function check(what, fine, detail = '') {
  if (fine) passed += 1;
  else failed += 1;
  const shown = String(typeof detail === 'string' ? detail : JSON.stringify(detail)).slice(0, 300);
  console.log(`${fine ? 'ok    ' : 'FAILED'} ${what}${shown === '' ? '' : ` (${shown})`}`);
}

/** What a call says when it fails. */
const errorOf = (call) => call().then(() => 'no error', (error) => error.message ?? JSON.stringify(error));
const bytes = async (address) => Buffer.from(await (await fetch(address)).arrayBuffer());
/** Asked for again where the server says that it is not there yet, as players do. */
async function text(address) {
  for (;;) {
    const answer = await fetch(address);
    if (answer.status !== 503) return answer.text();
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}
const jobOf = async (playlist) => (await fetch(playlist.replace('/index.m3u8', ''))).json();

async function describes(client) {
  const { named_endpoints: named } = await client.view_api();
  const parameters = named['/generate'].parameters.map((parameter) => parameter.parameter_name);
  check('view_api() says what there is', parameters.join() === 'audio,avatar,text,profile,features,body', parameters.join());
  check('and that it yields', named['/generate'].type?.generator === true && named['/avatars'].type?.generator === false, named['/generate'].type);
}

async function predicts(client) {
  const { data } = await client.predict('/generate', [handle_file('speech.wav'), 'cube']);
  const [video, playlist, progress] = data;
  const file = await bytes(video.url);
  check('predict() gives the address of a whole MP4', file.subarray(4, 8).toString() === 'ftyp' && file.length === video.size, `${video.url}, ${file.length} bytes`);
  check('under the name of the recording', video.orig_name === 'speech-cube.mp4', video.orig_name);
  check('and what became of the job', progress.state === 'done' && progress.frames === 50 && playlist.endsWith('index.m3u8'), progress);
  const part = await fetch(video.url, { headers: { range: 'bytes=4-7' } });
  check('which may be fetched in parts', part.status === 206 && (await part.text()) === 'ftyp');
  const blob = new Blob([await readFile('speech.wav')]);
  const named = await client.predict('/generate', { audio: blob, avatar: 'cube', profile: 'parity' });
  check('arguments have names and defaults, files no name', named.data[2].state === 'done', named.data[0].orig_name);
  const avatars = (await client.predict('/avatars')).data[0];
  check('/avatars lists them', avatars.map((avatar) => avatar.name).join() === 'milo,cube');
}

async function follows(client) {
  const job = client.submit('/generate', [handle_file('long.wav'), 'cube']);
  let playlist = null;
  let outputs = 0;
  let early = true;
  let cancelled = false;
  let stated = '';
  const seen = { log: 0, progress: 0, statuses: new Set() };
  for await (const message of job) {
    if (message.type === 'log') seen.log += 1;
    if (message.type === 'status') {
      seen.statuses.add(message.stage);
      if (message.progress_data?.some((unit) => unit.progress > 0 && unit.progress < 1)) seen.progress += 1;
      if (message.stage === 'error') stated = message.message;
    }
    if (message.type === 'data') {
      outputs += 1;
      if (playlist === null) {
        playlist = message.data[1];
        const list = await text(playlist);
        const segment = await bytes(playlist.replace('index.m3u8', list.split('\n').find((line) => line.endsWith('.ts'))));
        const { state } = await jobOf(playlist);
        check('the playlist plays while it is rendered', list.includes('#EXT-X-ENDLIST') && segment[0] === 0x47 && state === 'rendering', state);
      }
      early &&= message.data[0] === null;
    }
    if (!cancelled && outputs > 1 && seen.progress > 0) {
      cancelled = true;
      await job.cancel();
    }
  }
  check('no video before it is finished', early);
  check('updates, progress and the log arrive', outputs > 1 && seen.progress > 0 && seen.log > 0, `${outputs}, ${seen.progress}, ${seen.log}`);
  const { state, progress } = await jobOf(playlist);
  check('cancel() stops the job itself', state === 'cancelled' && progress.frames < Number(frames), `${state}, ${progress.frames} frames`);
  check('and the loop ends with it', stated === 'Cancelled', stated);

  let last = null;
  for await (const message of client.submit('/generate', [handle_file('speech.wav'), 'cube'])) {
    if (message.type === 'data') last = message.data;
  }
  check('a loop over a job ends with its video', last[0]?.url?.endsWith('.mp4') && last[2].state === 'done', last[0]?.url);
}

async function explains(client) {
  for (const [what, args, words] of [
    ['a file that is no recording', [handle_file('notes.wav'), 'cube'], 'text'],
    ['text without audio', [null, 'cube', 'Hello, world.'], 'recordings alone so far'],
    ['an avatar that is not there', [handle_file('speech.wav'), 'nobody'], 'choose one of: milo, cube'],
  ]) {
    const said = await errorOf(() => client.predict('/generate', args));
    check(`${what}: the message arrives`, said.includes(words), said);
  }
}

async function signsIn(address) {
  const options = { events: ['data', 'status', 'log'] };
  check('a stranger is not let in', (await errorOf(() => Client.connect(address, options))) !== 'no error');
  const wrong = await errorOf(() => Client.connect(address, { ...options, auth: ['ann', 'wrong horse'] }));
  check('nor a wrong password', wrong !== 'no error', wrong);
  const client = await Client.connect(address, { ...options, auth: ['ann', 'correct horse'] });
  const { data } = await client.predict('/generate', [handle_file('speech.wav'), 'cube']);
  check('the right one is', data[2].state === 'done');
  client.close();
  const bearer = await Client.connect(address, { ...options, headers: { Authorization: 'Bearer an-unguessable-token' } });
  check('a token is enough', (await bearer.predict('/avatars')).data[0].length === 2);
  bearer.close();
}

console.log(`\n@gradio/client ${version}`);
const troubles = [];
for (const kind of ['error', 'warn']) console[kind] = (...words) => troubles.push(words.join(' '));
const client = await Client.connect(url, { events: ['data', 'status', 'log'] });
await describes(client);
await predicts(client);
await follows(client);
await explains(client);
client.close();
check('nothing on the console', troubles.length === 0, troubles.join('; '));
await signsIn(guarded);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);
