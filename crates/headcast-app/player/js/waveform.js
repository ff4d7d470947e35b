// What a recording looks like.

/** Longer ones would take hundreds of megabytes of the browser's memory to look at. */
const LONGEST_SECS = 600;
/** The same for recordings whose length is not known before they are decoded. */
const LARGEST_UNKNOWN = 16e6;
/** Samples a second: enough to see speech, and the least that every browser decodes to. */
const RATE = 8000;
/** Peaks of a recording: more cannot be told apart in the width of the form. */
const PEAKS = 512;
/** Samples that are looked at in one go, which takes a millisecond or two. */
const SLICE = 1 << 18;

/**
 * The largest sample of each of so many equal parts of a recording, from 0 to 1, and its length. `null` where the browser cannot
 * tell, or not without trouble.
 *
 * @param {File} file @param {number} secs 0 where nobody knows @param {() => boolean} isWanted
 * @returns {Promise<{peaks: Float32Array, secs: number} | null>}
 */
export async function look(file, secs, isWanted) {
  if (secs > LONGEST_SECS || (secs === 0 && file.size > LARGEST_UNKNOWN)) return null;
  try {
    const bytes = await file.arrayBuffer();
    if (!isWanted()) return null;
    const sound = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(bytes);
    if (!isWanted() || sound.length === 0) return null;
    const peaks = new Float32Array(Math.min(PEAKS, sound.length));
    for (let channel = 0; channel < sound.numberOfChannels; channel += 1) {
      const samples = sound.getChannelData(channel);
      for (let from = 0; from < samples.length; from += SLICE) {
        const to = Math.min(samples.length, from + SLICE);
        for (let i = from; i < to; i += 1) {
          const peak = Math.floor((i * peaks.length) / samples.length);
          peaks[peak] = Math.max(peaks[peak], Math.abs(samples[i]));
        }
        // The page answers in between.
        await new Promise((resolve) => setTimeout(resolve));
        if (!isWanted()) return null;
      }
    }
    return { peaks, secs: sound.duration };
  } catch {
    return null;
  }
}

/** A bar and the gap after it, in pixels of the page. */
const [BAR, GAP] = [2, 1];

/**
 * Draws bars around the middle of a canvas; those from `start` to `end` (0 to 1) stand out.
 *
 * @param {HTMLCanvasElement} canvas @param {Float32Array} peaks @param {number} start @param {number} end
 */
export function draw(canvas, peaks, start, end) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const scale = devicePixelRatio;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const context = canvas.getContext('2d');
  if (!context || width === 0) return;
  const style = getComputedStyle(canvas);
  context.scale(scale, scale);
  // Quiet speech is to be seen, too.
  const top = Math.max(0.05, ...peaks);
  const bars = Math.floor((width + GAP) / (BAR + GAP));
  for (let bar = 0; bar < bars; bar += 1) {
    const [first, last] = [(bar * peaks.length) / bars, ((bar + 1) * peaks.length) / bars];
    let peak = 0;
    for (let i = Math.floor(first); i < Math.max(last, Math.floor(first) + 1); i += 1) peak = Math.max(peak, peaks[i]);
    const tall = Math.max(BAR, (height * peak) / top);
    const middle = (bar + 0.5) / bars;
    context.fillStyle = style.getPropertyValue(middle >= start && middle <= end ? '--accent' : '--muted');
    context.globalAlpha = middle >= start && middle <= end ? 1 : 0.4;
    context.fillRect(bar * (BAR + GAP), (height - tall) / 2, BAR, tall);
  }
}
