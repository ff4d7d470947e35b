// Avatars: looked at, imported, and deleted again.

import * as api from './api.js';
import { chosen, dropped, looksLikeAvatar, nameFrom, pick } from './avatar_files.js';
import { checklist } from './checklist.js';
import { byId, element, setText } from './dom.js';
import { decimal, size } from './format.js';
import { current, explain, t } from './i18n.js';

/**
 * @typedef {import('./avatar_files.js').Found} Found
 * @typedef {import('./avatar_files.js').Picked} Picked
 */

/** @param {{onChange: (avatars: import('./store.js').Avatar[], chosen: string | null) => void}} hooks */
export function createAvatars(hooks) {
  const part = byId('avatars');
  const zone = byId('avatar-drop');
  const form = byId('avatar-form');
  const name = /** @type {HTMLInputElement} */ (byId('avatar-name'));

  /** @type {import('./store.js').Info | null} */
  let info = null;
  /** @type {any[]} */
  let details = [];
  /** What is to be sent, by kind. @type {Map<string, Picked>} */
  let files = new Map();
  /** What may be asked for. @type {{torso: Map<number, Found>, landmarks: Map<number, Found>}} */
  let frames = { torso: new Map(), landmarks: new Map() };
  let seen = 0;
  /** How many of the frames' files were sent. */
  let extra = 0;
  /** @type {import('./checklist.js').Inspection | null} */
  let inspection = null;
  /** What is being done: a sentence, or nothing. @type {(() => string) | null} */
  let busy = null;
  /** @type {(() => string) | null} */
  let said = null;
  /** What the server says of an import, in its own words. @type {string[]} */
  let notes = [];
  /** @type {{code: string, detail?: string} | null} */
  let problem = null;
  /** The avatar whose deletion has to be confirmed. */
  let doomed = '';

  /** @param {Promise<Found[]> | Found[]} coming */
  async function take(coming) {
    if (busy) return;
    part.open = true;
    [problem, said, notes] = [null, null, []];
    work(() => t('avatars.reading'));
    try {
      const found = await coming;
      const picked = pick(found);
      /** @type {Map<string, Picked>} */
      const fresh = new Map();
      for (const [kind, { name: called, found: one }] of picked.files) fresh.set(kind, { name: called, path: one.path, file: await one.open() });
      for (const kind of /** @type {const} */ (['torso', 'landmarks'])) {
        for (const [number, one] of picked.frames[kind]) frames[kind].set(number, one);
      }
      if (fresh.size === 0 && picked.frames.torso.size + picked.frames.landmarks.size === 0) throw { code: 'avatar_nothing' };
      seen += found.length;
      if (!name.value) name.value = nameFrom([...fresh.values()].map((one) => one.path));
      files = new Map([...files, ...fresh]);
      await send(fresh);
    } catch (error) {
      fail(error);
    }
    work(null);
  }

  /** @param {unknown} error */
  function fail(error) {
    const { code, detail } = /** @type {any} */ (error);
    problem = typeof code === 'string' ? { code, detail } : { code: 'unknown', detail: String(error) };
    // What the server refused is gone there.
    if (problem.code !== 'avatar_nothing' && problem.code !== 'too_large_here') inspection = null;
  }

  /** @param {Map<string, Picked>} fresh */
  async function send(fresh) {
    const total = [...files.values()].reduce((sum, { file }) => sum + file.size, 0);
    check(total);
    const all = inspection ? fresh : files;
    const upload = new FormData();
    for (const { name: called, file } of all.values()) upload.append('file', file, called);
    try {
      inspection = await post(upload);
    } catch (error) {
      if (/** @type {any} */ (error).code !== 'no_such_inspection') throw error;
      // It waited too long: everything once more.
      inspection = null;
      return send(files);
    }
    await sendFrames();
  }

  /** Torso pictures and landmarks, if the model has a use for them and they are here. */
  async function sendFrames() {
    const upload = new FormData();
    let bytes = inspection?.bytes ?? 0;
    let count = 0;
    for (const kind of /** @type {const} */ (['torso', 'landmarks'])) {
      const wanted = (inspection?.wanted[kind] ?? []).filter((number) => frames[kind].has(number));
      for (const number of new Set(wanted)) {
        const file = await /** @type {Found} */ (frames[kind].get(number)).open();
        bytes += file.size;
        count += 1;
        upload.append(kind, file, kind === 'torso' ? `${number}.png` : `${number}.lms`);
      }
    }
    if (count === 0) return;
    check(bytes);
    inspection = await post(upload);
    extra += count;
  }

  /** @param {number} bytes */
  function check(bytes) {
    if (!info || bytes <= info.limits.avatar_bytes) return;
    throw { code: 'too_large_here', detail: t('avatars.too_large', { size: size(bytes, current()), limit: size(info.limits.avatar_bytes, current()) }) };
  }

  /** @param {FormData} upload */
  function post(upload) {
    const path = inspection ? `/api/v1/inspections/${inspection.id}` : '/api/v1/inspections';
    return api.send(path, upload, (fraction) => {
      const percent = Math.round(100 * fraction);
      work(fraction < 1 ? () => t('avatars.sending', { percent }) : () => t('avatars.checking'), fraction);
    });
  }

  /** @param {(() => string) | null} doing @param {number} [fraction] */
  function work(doing, fraction = 0) {
    busy = doing;
    byId('avatar-fill').style.width = doing ? `${100 * fraction}%` : '0';
    render();
  }

  function startOver() {
    if (inspection) api.forgetInspection(inspection.id).catch(() => {});
    files = new Map();
    frames = { torso: new Map(), landmarks: new Map() };
    [seen, extra, inspection, problem] = [0, 0, null, null];
    form.reset();
  }

  form.addEventListener('submit', async (/** @type {Event} */ event) => {
    event.preventDefault();
    if (busy || !inspection || !ready()) return;
    const called = name.value.trim();
    const wish = new FormData();
    wish.set('name', called);
    wish.set('inspection', inspection.id);
    for (const field of ['credits', 'licence']) wish.set(field, byId(`avatar-${field}`).value.trim());
    if (stillEyes()) wish.set('fix_eye', '0.25');
    [problem, said] = [null, null];
    work(() => t('avatars.importing'));
    try {
      const made = await api.send('/api/v1/avatars', wish, () => {});
      // Its files are gone.
      inspection = null;
      startOver();
      notes = made.notes;
      said = () => t('avatars.imported', { name: made.avatar.title });
      setText(byId('announce'), said());
      await refresh(called);
    } catch (error) {
      const { code, status } = /** @type {any} */ (error);
      const kept = inspection;
      fail(error);
      // Refused before its files were touched: another name will do.
      if (['avatar_exists', 'avatar_built_in', 'avatar_in_use', 'unreachable', 'uploads_busy'].includes(code) || (status === 422 && !/^[\w-]{1,64}$/.test(called))) inspection = kept;
    }
    work(null);
  });

  const stillEyes = () => byId('avatar-eyes-field').hidden === false && byId('avatar-eyes').checked;

  /** Whether an import would go through with what was chosen. */
  function ready() {
    const blocking = inspection?.checks.filter((one) => one.blocks && !(one.item === 'eyes' && stillEyes())) ?? [];
    return inspection !== null && blocking.length === 0 && name.value.trim() !== '';
  }

  /** @param {string | null} [choose] the avatar that is chosen then */
  async function refresh(choose = null) {
    const all = await api.avatars();
    hooks.onChange(all, choose);
    await loadDetails(all);
  }

  /** @param {import('./store.js').Avatar[]} all */
  async function loadDetails(all) {
    details = (await Promise.all(all.map((one) => api.avatar(one.name).catch(() => null)))).filter(Boolean);
    render();
  }

  /** @param {string} called */
  async function remove(called) {
    doomed = '';
    [problem, said, notes] = [null, null, []];
    try {
      await api.deleteAvatar(called);
      said = () => t('avatars.deleted', { name: called });
      setText(byId('announce'), said());
    } catch (error) {
      problem = /** @type {any} */ (error);
    }
    await refresh().catch((error) => (problem = error));
    render();
    byId('avatars-summary').focus();
  }

  function renderList() {
    byId('avatar-list').replaceChildren(
      ...details.map((one) => {
        const facts = [`${one.width} × ${one.height}`, one.kind, one.features === 'built-in' ? '' : one.features, one.built_in ? t('avatars.built_in') : ''];
        const told = [facts.filter(Boolean).join(' · '), one.credits, one.licence].filter(Boolean);
        const text = element('div', { class: 'avatar-text' }, [
          element('strong', {}, [one.title]),
          ...told.map((line) => element('small', {}, [line])),
        ]);
        const row = [element('img', { src: one.thumbnail, alt: '', width: '56', height: '56', loading: 'lazy' }), text];
        if (!one.built_in) row.push(one.name === doomed ? confirmation(one) : deletion(one));
        return element('li', { class: 'avatar-row', 'data-name': one.name }, row);
      }),
    );
  }

  /** @param {any} one */
  function deletion(one) {
    const button = element('button', { type: 'button', class: 'quiet danger avatar-delete', 'aria-label': t('avatars.delete_named', { name: one.title }) }, [t('avatars.delete')]);
    button.addEventListener('click', () => {
      doomed = one.name;
      render();
      /** @type {HTMLElement | null} */ (part.querySelector('.avatar-keep'))?.focus();
    });
    return button;
  }

  /** @param {any} one */
  function confirmation(one) {
    const sure = element('button', { type: 'button', class: 'secondary danger avatar-sure' }, [t('avatars.delete')]);
    sure.addEventListener('click', () => remove(one.name));
    const keep = element('button', { type: 'button', class: 'secondary avatar-keep' }, [t('avatars.keep')]);
    keep.addEventListener('click', () => {
      doomed = '';
      render();
      /** @type {HTMLElement | null} */ (part.querySelector(`[data-name="${one.name}"] .avatar-delete`))?.focus();
    });
    return element('div', { class: 'avatar-confirm', role: 'group' }, [element('span', {}, [t('avatars.delete_sure', { name: one.title })]), sure, keep]);
  }

  function render() {
    const language = current();
    const limits = info?.limits;
    setText(byId('avatar-limits'), limits ? t('avatars.limits', { size: size(limits.avatar_bytes, language), n: decimal(limits.avatar_frames, 0, language) }) : '');
    const bytes = inspection?.bytes ?? [...files.values()].reduce((sum, { file }) => sum + file.size, 0);
    byId('avatar-picked').hidden = files.size === 0;
    setText(byId('avatar-picked-sum'), t('avatars.picked', { n: files.size + extra, total: decimal(seen, 0, language), size: size(bytes, language) }));
    const rows = [...files.values()].map(({ path }) => element('li', {}, [path]));
    if (extra > 0) rows.push(element('li', {}, [t('avatars.picked_frames', { n: extra })]));
    byId('avatar-picked-list').replaceChildren(...rows);

    byId('avatar-checks').replaceChildren(...(inspection ? checklist(inspection) : []));
    form.hidden = !inspection;
    const eyes = inspection?.checks.find((one) => one.item === 'eyes' && one.blocks && one.state === 'missing');
    byId('avatar-eyes-field').hidden = !eyes;
    const go = byId('avatar-import');
    go.toggleAttribute('disabled', Boolean(busy) || !ready());
    byId('avatar-not-yet').hidden = !inspection || ready() || Boolean(busy);

    const working = byId('avatar-working');
    working.hidden = !busy;
    setText(byId('avatar-working-text'), busy ? busy() : '');
    const done = byId('avatar-said');
    done.hidden = !said;
    done.replaceChildren(...(said ? [said(), ...notes.map((note) => element('small', { lang: 'en' }, [note]))] : []));
    const trouble = byId('avatar-trouble');
    trouble.hidden = !problem;
    setText(trouble, problem ? explain(problem) : '');
    renderList();
  }

  byId('avatar-browse-files').addEventListener('click', () => byId('avatar-files').click());
  byId('avatar-browse-folder').addEventListener('click', () => byId('avatar-folder').click());
  for (const id of ['avatar-files', 'avatar-folder']) {
    const input = /** @type {HTMLInputElement} */ (byId(id));
    input.addEventListener('change', () => {
      if (input.files?.length) take(chosen(input.files));
      // So that choosing the same again is a change.
      input.value = '';
    });
  }
  // Before the form that takes recordings from anywhere on the page sees it.
  addEventListener(
    'drop',
    (event) => {
      const transfer = event.dataTransfer;
      zone.classList.remove('over');
      if (part.hidden || !transfer?.types.includes('Files')) return;
      if (!part.contains(/** @type {Node} */ (event.target)) && !looksLikeAvatar(transfer)) return;
      event.preventDefault();
      take(dropped(transfer));
    },
    true,
  );
  zone.addEventListener('dragover', () => zone.classList.add('over'));
  zone.addEventListener('dragleave', () => zone.classList.remove('over'));
  name.addEventListener('input', render);
  byId('avatar-eyes').addEventListener('change', render);
  byId('avatar-clear').addEventListener('click', () => {
    if (busy) return;
    startOver();
    render();
    byId('avatar-browse-folder').focus();
  });

  return {
    render,

    /** @param {import('./store.js').Info} newInfo @param {import('./store.js').Avatar[]} avatars */
    fill(newInfo, avatars) {
      info = newInfo;
      render();
      // Nobody waits for these.
      const load = () => loadDetails(avatars);
      if (part.open) load();
      else part.addEventListener('toggle', load, { once: true });
    },

    /** @param {boolean} shown */
    show(shown) {
      part.hidden = !shown;
    },
  };
}
