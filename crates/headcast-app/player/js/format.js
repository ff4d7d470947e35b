// Numbers and times for people.

/** @param {number} secs */
export function clock(secs) {
  const whole = Math.max(0, Math.floor(Number.isFinite(secs) ? secs : 0));
  const [hours, minutes, seconds] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (/** @type {number} */ n) => String(n).padStart(2, '0');
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds)}` : `${minutes}:${two(seconds)}`;
}

/** To a tenth of a second. @param {number} secs */
export function exactClock(secs) {
  const tenths = Math.max(0, Math.round(10 * secs));
  return `${clock(Math.floor(tenths / 10))}.${tenths % 10}`;
}

/** Seconds of a time that somebody wrote: `83.5`, `1:23.5`, `1:02:03`. `null` where it is none. @param {string} text */
export function readClock(text) {
  const parts = text.trim().replace(',', '.').split(':');
  if (parts.length > 3 || !parts.every((part, k) => (k < parts.length - 1 ? /^\d+$/ : /^\d+(\.\d*)?$|^\.\d+$/).test(part))) return null;
  return parts.reduce((secs, part) => 60 * secs + Number(part), 0);
}

/** @param {number} value @param {number} digits @param {string} language */
export function decimal(value, digits, language) {
  return value.toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** @param {number} bytes @param {string} language */
export function size(bytes, language) {
  if (bytes < 1e6) return `${decimal(Math.max(1, bytes / 1e3), 0, language)} kB`;
  return bytes < 1e9 ? `${decimal(bytes / 1e6, 1, language)} MB` : `${decimal(bytes / 1e9, 1, language)} GB`;
}

/** A position for those who hear it: `1 minute 5 seconds`. @param {number} secs @param {string} language */
export function spoken(secs, language) {
  const whole = Math.max(0, Math.floor(Number.isFinite(secs) ? secs : 0));
  /** @type {[number, string][]} */
  const parts = [[Math.floor(whole / 3600), 'hour'], [Math.floor(whole / 60) % 60, 'minute'], [whole % 60, 'second']];
  const told = parts.filter(([n, unit]) => n > 0 || (whole === 0 && unit === 'second'));
  return told.map(([n, unit]) => n.toLocaleString(language, { style: 'unit', unit, unitDisplay: 'long' })).join(' ');
}

/** A span that people can feel: seconds below two minutes, then minutes.
 * @param {number} secs
 * @param {(key: string, values?: Record<string, string | number>) => string} t */
export function span(secs, t) {
  if (secs < 120) return t('span.secs', { n: Math.max(1, Math.round(secs)) });
  if (secs < 7200) return t('span.minutes', { n: Math.round(secs / 60) });
  return t('span.hours', { n: Math.round(secs / 3600) });
}
