// What the doctor found, as a list.

import { element } from './dom.js';
import { has, t } from './i18n.js';

const SIGNS = { fine: 'M5 12.5l4.5 4.5L19 7.5', missing: 'M12 5v9M12 18v.5', warning: 'M12 5v9M12 18v.5', unusable: 'M6.5 6.5l11 11M17.5 6.5l-11 11' };

/**
 * @typedef {{item: string, state: keyof typeof SIGNS, blocks: boolean, text: string}} Check
 * @typedef {{id: string, bytes: number, importable: boolean, checks: Check[],
 *   wanted: {torso: number[], landmarks: number[]}, report: any}} Inspection
 */

/** @param {Inspection} inspection */
export function checklist({ checks, report }) {
  const order = ['unusable', 'missing', 'warning', 'fine'];
  const sorted = [...checks].sort((a, b) => Number(b.blocks) - Number(a.blocks) || order.indexOf(a.state) - order.indexOf(b.state));
  return sorted.map((check) =>
    element('li', { class: 'check', 'data-state': check.state, 'data-item': check.item }, [
      sign(check.state),
      element('span', { class: 'visually-hidden' }, [`${t(`check_state.${check.state}`)}: `]),
      element('span', { class: 'check-title' }, [t(`check.${check.item}`)]),
      element('span', { class: 'check-text' }, [sentence(check, report)]),
    ]),
  );
}

/** Ours where there is one; else what the server says. @param {Check} check @param {any} report */
function sentence(check, report) {
  const values = {
    detail: check.text,
    family: { 'er-nerf': 'ER-NeRF', 'rad-nerf': 'RAD-NeRF', 'ad-nerf': 'AD-NeRF' }[/** @type {string} */ (report?.family)] ?? '?',
    file: report?.file ?? '',
    poses: report?.data?.poses ?? '?',
    width: report?.data?.width ?? '?',
    height: report?.data?.height ?? '?',
    poses_file: report?.data?.poses_file ?? '',
  };
  const own = `check.${check.item}_${check.state}`;
  return has(own) ? t(own, values) : t(`check_any.${check.state}`, values);
}

/** @param {keyof typeof SIGNS} state */
function sign(state) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('aria-hidden', 'true');
  path.setAttribute('d', SIGNS[state]);
  svg.append(path);
  return svg;
}
