// Players of other people play a job while it is being rendered, from start to end, all at once; and the same checks
// see it when a job is cancelled half-way.
//
// node clients.mjs [--binary headcast] [--chromium path] [--only name]

import { rm } from 'node:fs/promises';
import { browsers } from './clients/browsers.mjs';
import { startFront } from './clients/front.mjs';
import { programs } from './clients/programs.mjs';
import { ask, check, commandLine, createJob, dataFolderWithCube, finish, jobWhen, skip, speech, startBrowser, startServer } from './harness.mjs';

const options = commandLine({ only: { type: 'string' } });

/** Six seconds each. */
const TIMES = 4;
/**
 * Half the speed of the clip, whatever the machine. The plan is made for a renderer that was fast when it was measured,
 * so its long segments are held for ten seconds.
 */
const SLOW = ['--max-fps', '12', '--assume-fps', '100'];
/** The speed of the clip. */
const STEADY = ['--max-fps', '25', '--assume-fps', '100'];
/** The slowest that a clip may be played on a busy machine, in milliseconds. */
const PATIENCE = 240_000;
/** How long a player may go on with what it has got of a job that was cancelled. */
const AFTERGLOW = 15_000;
/** Frames that a player may have decoded and not have told of, because it tells every now and then. */
const UNTOLD = 3;

const clients = [];
for (const client of [...browsers, ...programs]) {
  if (options.only && client.name !== options.only) continue;
  if (await client.isHere()) clients.push(client);
  else skip(`${client.name} plays a job while it is rendered`, client.tool);
}

const data = await dataFolderWithCube(options.binary);
const browser = await startBrowser(options.chromium, ['--autoplay-policy=no-user-gesture-required']);
const wav = await speech(TIMES);

/** Lets every client play a new job; what each of them did, with the job as it was at its first picture. */
async function playAll(pace, meanwhile, patience) {
  const server = await startServer(options.binary, { data, args: pace });
  const front = await startFront(server.url);
  try {
    const { id } = await createJob(server.url, wav);
    await jobWhen(server.url, id, ({ clip }) => clip !== null);
    const playing = clients.map(async (client) => {
      let first = null;
      const onPicture = async () => {
        first = await ask(server.url, `api/v1/jobs/${id}`);
      };
      try {
        const outcome = await client.play({ server: server.url, front: front.url, browser }, id, { onPicture, patience });
        return { client, ...outcome, first };
      } catch (error) {
        return { client, ended: false, frames: 0, position: null, errors: [String(error)], first };
      }
    });
    const job = await meanwhile(server.url, id);
    return { job, played: await Promise.all(playing) };
  } finally {
    await front.stop();
    await server.stop({ keep: true });
  }
}

/** Everything that is wrong with what a client did. */
function faults({ client, ended, frames, position, errors, first }, clip) {
  const found = [];
  if (first === null) found.push('it showed nothing');
  else if (first.state !== 'rendering') found.push(`the job was ${first.state} at its first picture`);
  if (!ended) found.push('it did not come to the end');
  // After a pause some decode a few frames again.
  if (frames < clip.frames - (client.untold ?? UNTOLD)) found.push(`${frames} of ${clip.frames} frames`);
  if (position !== null && Math.abs(position - clip.duration_secs) > 0.1) found.push(`it ended at ${position.toFixed(2)} of ${clip.duration_secs} s`);
  return [...found, ...errors];
}

async function playedWhileRendered() {
  console.log('\nother players, while the job is rendered');
  const end = Date.now() + PATIENCE;
  const patience = { isOver: () => Date.now() > end };
  const done = (url, id) => jobWhen(url, id, ({ state }) => state === 'done');
  const { job, played } = await playAll(SLOW, done, patience);
  for (const outcome of played) {
    const { client, version, frames, first } = outcome;
    const found = faults(outcome, job.clip);
    const began = first ? `began at ${first.progress.frames} of ${first.progress.total} frames rendered, ` : '';
    check(`${client.name} ${version ?? ''} plays it from start to end`, found.length === 0, [`${began}${frames} frames decoded`, ...found].join('; '));
  }
}

async function cancelledHalfWay() {
  console.log('\nthe control: a job that is cancelled half-way');
  let end = Date.now() + PATIENCE;
  const patience = { isOver: () => Date.now() > end };
  const cancel = async (url, id) => {
    const half = await jobWhen(url, id, ({ progress }) => progress.total > 0 && progress.frames > progress.total / 2);
    await ask(url, `api/v1/jobs/${id}/cancel`, { method: 'POST' });
    end = Date.now() + AFTERGLOW;
    return half;
  };
  const { job, played } = await playAll(STEADY, cancel, patience);
  for (const outcome of played) {
    const { client, frames, first } = outcome;
    const found = faults(outcome, job.clip);
    // It must fail for the missing half, and not because it never played.
    const half = first?.state === 'rendering' && frames > 0 && frames < 0.75 * job.clip.frames;
    check(`${client.name} is seen not to play it to the end`, half && found.length > 0, found.join('; '));
  }
}

try {
  await playedWhileRendered();
  await cancelledHalfWay();
} finally {
  await browser.close();
  await rm(data, { recursive: true, force: true });
  finish();
}
