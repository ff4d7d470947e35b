// Players that are programs of their own.

import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { sleep } from '../harness.mjs';

/** What 64x64 pixels take as I420, and with the heading of a YUV4MPEG file, in bytes. */
const PICTURE = (64 * 64 * 3) / 2;
const HEADED_PICTURE = 'FRAME\n'.length + PICTURE;

/** What GStreamer needs besides a player, and Debian packs apart. */
const PARTS = ['souphttpsrc', 'tsdemux', 'avdec_h264', 'avdec_aac'];

const onPath = (tool) => process.env.PATH.split(delimiter).some((dir) => existsSync(join(dir, tool)));

/** VLC refuses to run as root. */
const NOBODY = process.getuid() === 0 ? { uid: 65534, gid: 65534 } : {};

/** The version number that a program says it has. */
async function version(tool, option = '--version', options = {}) {
  const { stdout } = await promisify(execFile)(tool, [option], options).catch((error) => error);
  return /\d+\.\d+[.\d]*/.exec(String(stdout).replaceAll(tool, ''))?.[0] ?? '?';
}

/**
 * Runs a program to its end, or to the end of our patience, and hands it on line by line.
 * @returns its exit status; `null` when it had to be stopped
 */
async function run(tool, args, { patience, onOut = () => {}, onErr = () => {}, options = {} }) {
  const child = spawn(tool, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
  const listen = (stream, onLine) => {
    let rest = '';
    stream.setEncoding('utf8');
    stream.on('data', (text) => {
      const lines = (rest + text).split(/[\r\n]+/);
      rest = lines.pop();
      for (const line of lines) onLine(line);
    });
    stream.on('end', () => rest && onLine(rest));
  };
  listen(child.stdout, onOut);
  listen(child.stderr, onErr);
  const ended = new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  let over = false;
  ended.then(
    () => (over = true),
    () => (over = true),
  );
  while (!over) {
    if (patience.isOver()) {
      child.kill('SIGKILL');
      await ended;
      return null;
    }
    await sleep(50);
  }
  return ended;
}

/** What a program said and how far it came, while it is being told. */
function report(onPicture) {
  const seen = { ended: false, frames: 0, position: null, errors: [] };
  let told = null;
  return {
    seen,
    frames(count) {
      seen.frames = Math.max(seen.frames, count);
      if (count > 0) told ??= onPicture();
    },
    async end(status) {
      await told;
      seen.ended = status === 0;
      if (status !== 0 && status !== null) seen.errors.push(`exit status ${status}`);
      return seen;
    },
  };
}

const ffmpeg = {
  name: 'ffmpeg',
  tool: 'ffmpeg',
  isHere: async () => onPath('ffmpeg'),
  async play({ server }, id, { onPicture, patience }) {
    const { seen, frames, end } = report(onPicture);
    seen.version = await version('ffmpeg', '-version');
    const args = ['-nostdin', '-v', 'warning', '-stats_period', '0.1', '-progress', 'pipe:1'];
    const status = await run('ffmpeg', [...args, '-i', `${server}api/v1/jobs/${id}/index.m3u8`, '-f', 'null', '-'], {
      patience,
      onOut: (line) => {
        const [key, value] = line.split('=');
        if (key === 'frame') frames(Number(value));
      },
      onErr: (line) => seen.errors.push(line),
    });
    return end(status);
  },
};

const mpv = {
  name: 'mpv',
  tool: 'mpv',
  isHere: async () => onPath('mpv'),
  async play({ server }, id, { onPicture, patience }) {
    const { seen, frames, end } = report(onPicture);
    seen.version = await version('mpv');
    const args = ['--no-config', '--vo=null', '--ao=null', '--msg-level=all=warn,statusline=status', '--term-status-msg=frame=${estimated-frame-number}'];
    const onLine = (line) => {
      const frame = /frame=(\d+)/.exec(line);
      // Counted from 0.
      if (frame) frames(Number(frame[1]) + 1);
      else if (/error|fail|warn|corrupt|invalid/i.test(line)) seen.errors.push(line);
    };
    const status = await run('mpv', [...args, `${server}api/v1/jobs/${id}/index.m3u8`], { patience, onOut: onLine, onErr: onLine });
    return end(status);
  },
};

/** Looks at a file every now and then until it has `bytes`, and then calls back; the result ends the looking. */
function whenLarge(file, bytes, callback) {
  let over = false;
  const looking = (async () => {
    while (!over) {
      const { size } = await stat(file).catch(() => ({ size: 0 }));
      if (size >= bytes) return callback();
      await sleep(50);
    }
  })();
  return () => {
    over = true;
    return looking;
  };
}

/** Pictures in a YUV4MPEG file, each counted once however long it was shown. */
async function pictures(file) {
  const bytes = await readFile(file).catch(() => Buffer.alloc(0));
  let at = bytes.indexOf('\n') + 1;
  let count = 0;
  for (let last = null; at + HEADED_PICTURE <= bytes.length; at += HEADED_PICTURE) {
    const frame = bytes.subarray(at, at + HEADED_PICTURE);
    if (last === null || !frame.equals(last)) count += 1;
    last = frame;
  }
  return count;
}

const vlc = {
  name: 'VLC',
  tool: 'cvlc',
  isHere: async () => onPath('cvlc'),
  // Its clock starts anew where it begins and after each wait for a segment, of which there are up to eight here, and it
  // shows none of the up to four pictures that are late then. All of them were decoded.
  untold: 32,
  async play({ server }, id, { onPicture, patience }) {
    const { seen, frames, end } = report(onPicture);
    const home = await mkdtemp(join(tmpdir(), 'headcast-vlc-'));
    await chmod(home, 0o777);
    const options = { env: { ...process.env, HOME: home }, ...NOBODY };
    seen.version = await version('cvlc', '--version', options);
    const file = join(home, 'shown.y4m');
    const enough = whenLarge(file, HEADED_PICTURE, () => frames(1));
    // It writes down what it shows; nothing is left out because the machine is busy.
    const out = ['--vout', 'yuv', '--yuv-file', file, '--aout', 'dummy', '--no-drop-late-frames', '--no-skip-frames'];
    const status = await run('cvlc', [...out, '--play-and-exit', `${server}api/v1/jobs/${id}/index.m3u8`], {
      patience,
      options,
      // Not of the input: it says that it waits for what is not rendered yet.
      onErr: (line) => {
        if (/(adaptive|http|access|ts|demux|packetizer|avcodec) .*(error|warning):/.test(line)) seen.errors.push(line);
      },
    });
    await enough();
    frames(await pictures(file));
    await rm(home, { recursive: true, force: true });
    return end(status);
  },
};

function gstreamer(element, demuxer) {
  return {
    name: `GStreamer ${element}`,
    tool: `gst-launch-1.0 with ${PARTS.join(', ')} and ${demuxer}`,
    async isHere() {
      if (!onPath('gst-launch-1.0')) return false;
      const inspect = (part) => promisify(execFile)('gst-inspect-1.0', ['--exists', part]);
      return Promise.all([...PARTS, demuxer].map(inspect)).then(() => true, () => false);
    },
    async play({ server }, id, { onPicture, patience }) {
      const { seen, frames, end } = report(onPicture);
      seen.version = await version('gst-launch-1.0');
      const folder = await mkdtemp(join(tmpdir(), 'headcast-gstreamer-'));
      const file = join(folder, 'shown.i420');
      const enough = whenLarge(file, PICTURE, () => frames(1));
      const onErr = (line) => {
        if (/error|warning/i.test(line)) seen.errors.push(line);
      };
      const sinks = [`video-sink=filesink sync=true location=${file}`, 'audio-sink=fakesink sync=true'];
      const uri = `uri=${server}api/v1/jobs/${id}/index.m3u8`;
      const status = await run('gst-launch-1.0', ['-q', element, uri, ...sinks], { patience, onOut: onErr, onErr });
      await enough();
      const { size } = await stat(file).catch(() => ({ size: 0 }));
      frames(size / PICTURE);
      await rm(folder, { recursive: true, force: true });
      return end(status);
    },
  };
}

// The two have players, demuxers and HTTP queues of their own.
export const programs = [ffmpeg, mpv, vlc, gstreamer('playbin', 'hlsdemux'), gstreamer('playbin3', 'hlsdemux2')];
