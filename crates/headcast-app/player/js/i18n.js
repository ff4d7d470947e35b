// What the page says, in the reader's language.

export const LANGUAGES = /** @type {const} */ (['en', 'zh']);

/** @type {Record<string, string>} */
let words = {};
let language = 'en';

/** The remembered language, else the browser's first one that there is. */
export function preferred() {
  const remembered = localStorage.getItem('headcast.language');
  const wanted = [remembered ?? '', ...navigator.languages].map((tag) => tag.toLowerCase().split('-')[0]);
  return wanted.find((tag) => LANGUAGES.includes(/** @type {any} */ (tag))) ?? 'en';
}

/** @param {string} tag @param {boolean} [remember] */
export async function load(tag, remember = false) {
  const answer = await fetch(new URL(`../i18n/${tag}.json`, import.meta.url));
  words = await answer.json();
  language = tag;
  document.documentElement.lang = tag === 'zh' ? 'zh-CN' : tag;
  if (remember) localStorage.setItem('headcast.language', tag);
  apply();
}

export const current = () => language;

/**
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 */
export function t(key, values = {}) {
  const text = words[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ''));
}

/** Whether there are words for `key`. @param {string} key */
export const has = (key) => key in words;

/** Fills `data-t` (text) and `data-t-label` (accessible name). */
export function apply() {
  for (const element of document.querySelectorAll('[data-t]')) {
    element.textContent = t(element.getAttribute('data-t') ?? '');
  }
  for (const element of document.querySelectorAll('[data-t-label]')) {
    element.setAttribute('aria-label', t(element.getAttribute('data-t-label') ?? ''));
  }
}

/** A sentence for a problem: ours where there is one, with what the server said as the detail.
 * @param {{code: string, detail?: string}} problem */
export function explain(problem) {
  const key = `error.${problem.code}`;
  const detail = problem.detail ? sentence(problem.detail) : '';
  if (!has(key)) return detail || t('error.unknown');
  // In English the server's own sentence is the more exact one.
  return language === 'en' && detail ? detail : t(key, { detail });
}

/** @param {string} text */
function sentence(text) {
  const start = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?。]$/.test(start) ? start : `${start}.`;
}
