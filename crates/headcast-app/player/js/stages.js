// Where the time of a job goes: a bar, and the same in numbers.

import { byId, setText } from './dom.js';
import { decimal } from './format.js';
import { current, t } from './i18n.js';

const NAMES = /** @type {const} */ (['waiting', 'preparing', 'hearing', 'rendering', 'encoding', 'publishing']);

/** @param {import('./store.js').Stages} stages seconds */
export function renderStages(stages) {
  const whole = NAMES.reduce((sum, name) => sum + stages[name], 0);
  byId('stages').classList.toggle('empty', whole === 0);
  for (const name of NAMES) {
    const secs = stages[name];
    byId(`stage-${name}`).style.width = whole > 0 ? `${(100 * secs) / whole}%` : '0';
    setText(byId(`stage-${name}-secs`), whole > 0 ? t('span.secs', { n: decimal(secs, secs < 99.95 ? 1 : 0, current()) }) : '–');
  }
}
