// Speech from the microphone, in whatever container the browser records: the server reads all of them.

import { byId, setText } from './dom.js';
import { clock } from './format.js';
import { t } from './i18n.js';

/** What browsers record, and what such a file is called: Chrome and Firefox, Safari, older Firefox. */
const KINDS = [
  ['audio/webm;codecs=opus', 'webm'],
  ['audio/mp4', 'm4a'],
  ['audio/ogg;codecs=opus', 'ogg'],
];
/** A recording that nobody ends is ended here, in seconds. */
const LONGEST = 3600;
/** The quietest level that the meter shows, and below which nobody is speaking, in decibels of full scale. */
const [FLOOR, SILENCE] = [-60, -45];
/** How long nothing may be heard before the page says so, in milliseconds. */
const PATIENCE = 2500;

/** Why there is no sound, by the name of the browser's exception. @type {Record<string, string>} */
const REASONS = { NotAllowedError: 'mic_refused', SecurityError: 'mic_refused', NotFoundError: 'mic_missing' };

/**
 * @param {{onBegin: () => void, onRecorded: (file: File) => void, onTrouble: (problem: {code: string, detail?: string}) => void}} hooks
 */
export function createRecorder(hooks) {
  const begin = byId('record');
  const panel = byId('recording');
  const level = byId('recording-level');
  /** @type {{recorder: MediaRecorder, close: () => void} | null} */
  let running = null;
  let asking = false;
  /** Whether it is still wanted once the browser has asked. */
  let wanted = false;
  let keep = true;

  // Browsers offer it on this machine and over HTTPS alone.
  const isOffered = Boolean(navigator.mediaDevices) && 'MediaRecorder' in globalThis;
  begin.hidden = !isOffered;

  async function start() {
    wanted = true;
    if (running || asking) return;
    asking = true;
    /** @type {MediaStream | null} */
    let stream = null;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      if (wanted) record(stream);
      else release(stream);
    } catch (error) {
      if (stream) release(stream);
      const { name, message } = /** @type {DOMException} */ (error);
      const code = REASONS[name] ?? 'mic_failed';
      hooks.onTrouble({ code, detail: code === 'mic_failed' ? message : '' });
    }
    asking = false;
    render();
  }

  /** Gives the microphone back. @param {MediaStream} stream */
  function release(stream) {
    for (const track of stream.getTracks()) track.stop();
  }

  /** @param {MediaStream} stream */
  function record(stream) {
    hooks.onBegin();
    const [type, ending] = KINDS.find(([kind]) => MediaRecorder.isTypeSupported(kind)) ?? ['', 'webm'];
    const recorder = new MediaRecorder(stream, type ? { mimeType: type, audioBitsPerSecond: 96_000 } : {});
    /** @type {Blob[]} */
    const parts = [];
    recorder.ondataavailable = ({ data }) => parts.push(data);
    recorder.onstop = () => {
      close();
      running = null;
      render();
      if (keep) hooks.onRecorded(new File(parts, `${name()}.${ending}`, { type: recorder.mimeType.split(';')[0] }));
    };
    const close = meter(stream, (secs) => secs > LONGEST && end(true));
    // Also when the microphone is pulled out: what there is was meant.
    keep = true;
    try {
      recorder.start();
    } catch (error) {
      close();
      throw error;
    }
    running = { recorder, close };
  }

  /** @param {boolean} kept */
  function end(kept) {
    wanted = false;
    keep = kept;
    if (running?.recorder.state === 'recording') running.recorder.stop();
  }

  /**
   * Shows how loud it is, and since when; the result ends it, and gives the microphone back.
   * @param {MediaStream} stream @param {(secs: number) => void} onTime
   */
  function meter(stream, onTime) {
    const context = new AudioContext();
    const analyser = context.createAnalyser();
    context.createMediaStreamSource(stream).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    const began = performance.now();
    let heard = began;
    const draw = () => {
      analyser.getFloatTimeDomainData(samples);
      const power = samples.reduce((sum, value) => sum + value * value, 0) / samples.length;
      const decibels = 10 * Math.log10(power + 1e-12);
      const now = performance.now();
      if (decibels > SILENCE) heard = now;
      level.style.setProperty('--level', `${Math.max(0, Math.min(100, 100 * (1 - decibels / FLOOR)))}%`);
      setText(byId('recording-time'), clock((now - began) / 1000));
      byId('recording-hint').hidden = now - heard < PATIENCE;
      onTime((now - began) / 1000);
    };
    // Not with the screen: a hidden tab goes on recording.
    const timer = setInterval(draw, 60);
    draw();
    return () => {
      clearInterval(timer);
      release(stream);
      context.close();
    };
  }

  function render() {
    const focused = document.activeElement === begin || panel.contains(document.activeElement);
    begin.hidden = !isOffered || running !== null;
    panel.hidden = running === null;
    // What had the focus is gone.
    if (focused) (running ? byId('recording-stop') : begin).focus();
  }

  begin.addEventListener('click', start);
  byId('recording-stop').addEventListener('click', () => end(true));
  byId('recording-discard').addEventListener('click', () => end(false));

  return {
    isRunning: () => running !== null,
    /** Ends a recording that is under way, which is kept, and lets go of the microphone. */
    finish: () => end(true),
  };
}

/** When it was made. */
function name() {
  const now = new Date();
  const two = (/** @type {number} */ n) => String(n).padStart(2, '0');
  const day = [now.getFullYear(), two(now.getMonth() + 1), two(now.getDate())].join('-');
  return `${t('voice.recording_name')} ${day} ${two(now.getHours())}.${two(now.getMinutes())}`;
}
