// When to start playing, so that playback never has to stop.

/** From the moment that a segment exists until the browser can play it. */
const DELIVERY_SECS = 0.3;

/**
 * Seconds to wait from now until playing from `position` goes through without a pause.
 *
 * Segment k ends `frames(k)` frames into the clip and is needed when playback reaches its start. At the
 * present speed it exists after `(frames(k) - frames made) / fps`. The wait is the worst of the differences;
 * 0 when nothing has to be waited for, `null` while the speed is unknown.
 *
 * @param {import('./store.js').Clip} clip
 * @param {import('./store.js').Progress} progress
 * @param {(segment: number) => boolean} isReady
 * @param {number} [position] seconds
 * @returns {number | null}
 */
export function secondsToWait(clip, progress, isReady, position = 0) {
  // Made out of order or not: what counts is how many frames come before the end of each segment.
  let missing = 0;
  let worst = 0;
  let start = 0;
  // A little less than measured: the last moments may have been lucky ones.
  const fps = progress.fps * 0.95;
  const inHand = framesInHand(clip, progress, isReady);
  for (const [segment, end] of clip.segment_ends.entries()) {
    if (end > position && !isReady(segment)) {
      if (fps <= 0) return null;
      missing += (end - start) * clip.frame_rate;
      const madeIn = Math.max(0, missing - inHand) / fps;
      worst = Math.max(worst, madeIn + DELIVERY_SECS - Math.max(0, start - position));
    }
    start = end;
  }
  return worst;
}

/** Frames that are rendered but not yet part of a segment that exists.
 * @param {import('./store.js').Clip} clip
 * @param {import('./store.js').Progress} progress
 * @param {(segment: number) => boolean} isReady */
function framesInHand(clip, progress, isReady) {
  let inSegments = 0;
  let start = 0;
  for (const [segment, end] of clip.segment_ends.entries()) {
    if (isReady(segment)) inSegments += (end - start) * clip.frame_rate;
    start = end;
  }
  return Math.max(0, progress.frames - Math.round(inSegments));
}
