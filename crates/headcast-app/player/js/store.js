// The state of the tab, in one place, and who is told when it changes.

/**
 * @template T
 * @param {T} initial
 */
export function createStore(initial) {
  let state = initial;
  /** @type {Set<(state: T) => void>} */
  const listeners = new Set();
  let queued = false;

  return {
    /** @returns {T} */
    get: () => state,

    /** Changes some fields. Listeners are called once for all that changes in one go. @param {Partial<T>} change */
    set(change) {
      state = { ...state, ...change };
      if (queued) return;
      queued = true;
      queueMicrotask(() => {
        queued = false;
        for (const listener of listeners) listener(state);
      });
    },

    /** @param {(state: T) => void} listener */
    subscribe(listener) {
      listeners.add(listener);
      listener(state);
    },
  };
}

/**
 * @typedef {{name: string, title: string, width: number, height: number, credits: string, thumbnail: string, preview: string | null}} Avatar
 * @typedef {{id: string, language: string, title: string, file_name: string, audio: string}} Sample
 * @typedef {{waiting: number, preparing: number, hearing: number, rendering: number, encoding: number, publishing: number}} Stages
 * @typedef {{phase: string, frames: number, total: number | null, fps: number, times_real_time: number, eta_secs: number | null, stages: Stages}} Progress
 * @typedef {{open: boolean, duration_secs: number, frames: number, frame_rate: number, segments: number, ready: [number, number][], segment_ends: number[]}} Clip
 * @typedef {{id: string, seq: number, state: string, avatar: string, profile: string | null, body?: string, title: string, audio_name: string, queue_position: number,
 *   error: {code: string, detail: string} | null, progress: Progress, clip: Clip | null,
 *   frames?: {width: number, height: number, pix_fmt: string, next_frame: number, connected: boolean},
 *   captions: boolean, voice?: string, speed?: number, text?: string, started_ms: number | null, finished_ms: number | null,
 *   links: {job: string, index: string, live: string, video: string, poster: string, vtt: string, srt: string, events: string, page: string}}} Job
 * @typedef {{version: string, limits: {audio_bytes: number, audio_secs: number, features_bytes: number, background_bytes: number, avatar_bytes: number, avatar_frames: number, text_chars: number}, profiles: string[], notes: string[], embeddable: boolean}} Info
 * @typedef {{seq: number, level: string, message: string, at_ms: number}} LogLine
 */
