// Joins the parts of the page.

import * as api from './api.js';
import { createAvatars } from './avatars.js';
import { createComposer } from './composer.js';
import { createControls } from './controls.js';
import { byId, element, setText } from './dom.js';
import { connect } from './events.js';
import { span } from './format.js';
import * as i18n from './i18n.js';
import { Readiness } from './loader.js';
import { createLog } from './log.js';
import { createMissing } from './missing.js';
import { secondsToWait } from './pacing.js';
import { renderPanel } from './panel.js';
import { createPlot } from './plot.js';
import { Player } from './player.js';
import { createRecent } from './recent.js';
import { editName } from './rename.js';
import { createStore } from './store.js';

const { t } = i18n;
/** In a page of another site: the video, and nothing else. */
const embedded = document.documentElement.hasAttribute('data-embedded');
/** How long the page waits for the job that its address names before it is shown without it, in milliseconds. */
const PATIENCE = 1500;
const store = createStore({
  /** @type {import('./store.js').Job | null} */ job: null,
  /** @type {import('./player.js').Mode} */ mode: 'idle',
  /** @type {number | null} */ wait: null,
  muted: false,
  connected: true,
  /** What went wrong here with a video, and not on the server. @type {{id: string, code: string, detail: string} | null} */
  trouble: null,
});

const video = /** @type {HTMLVideoElement} */ (byId('video'));
const poster = /** @type {HTMLImageElement} */ (byId('poster'));
let readiness = new Readiness();
/** The job whose Generate was pressed in this tab: playing it needs no further wish. */
let ownJob = '';
/** Whether a job is being made for this tab. */
let isBeginning = false;
/** What the player shows. */
let opened = '';

const waitAt = (/** @type {number} */ position) => {
  const { job } = store.get();
  if (!job?.clip) return null;
  return job.state === 'done' ? 0 : secondsToWait(job.clip, job.progress, (k) => readiness.has(k), position);
};

const log = createLog();
const missing = createMissing();
const plot = createPlot();
const player = new Player(video, {
  secondsToWait: waitAt,
  // Opened once more, it may go well.
  onMode: (mode, wait) => store.set({ mode, wait, ...(mode === 'loading' ? { trouble: null } : {}) }),
  onMuted: (muted) => store.set({ muted }),
  onError: (code) => {
    const { job } = store.get();
    if (job) store.set({ trouble: { id: job.id, code, detail: '' } });
  },
});
const controls = createControls(video, {
  made: () => {
    const ends = store.get().job?.clip?.segment_ends ?? [];
    return ends.flatMap((end, k) => (readiness.has(k) ? [/** @type {[number, number]} */ ([ends[k - 1] ?? 0, end])] : []));
  },
  secondsUntil: waitAt,
});
const composer = createComposer({
  onAvatar: (avatar) => showPoster(avatar),
  onGenerate: generate,
});
const avatarPart = createAvatars({ onChange: (avatars, chosen) => composer.setAvatars(avatars, chosen) });
const recent = createRecent({
  onOpen: open,
  async onAgain(job) {
    const choices = composer.choicesAgain();
    if (choices) await begin(choices.avatar, () => api.rerun(job.id, choices));
  },
  onOtherWords: (job) => composer.take(job),
  onTrouble: (problem) => composer.refuse(problem),
});
const events = connect(onMessage, (connected) => store.set({ connected }));

/** @param {any} message */
function onMessage(message) {
  const { job } = store.get();
  switch (message.type) {
    case 'state':
      readiness.addRanges(message.job.clip?.ready ?? []);
      store.set({ job: message.job });
      show(message.job);
      break;
    case 'ready': {
      readiness.add(message.segment);
      const clip = job?.clip && grown(job.clip, message.segment, message.end_secs);
      if (clip) plot.add(message.at_ms, framesOf(clip, message.segment));
      store.set(job && clip ? { job: { ...job, clip } } : {});
      if (job && clip) show({ ...job, clip });
      player.reconsider();
      break;
    }
    case 'progress': {
      const { type: _type, job: _job, seq: _seq, ...progress } = message;
      if (job) store.set({ job: { ...job, progress } });
      player.reconsider();
      break;
    }
    case 'log':
      log.add(message);
      break;
    case 'gone':
      if (embedded) {
        // There is nowhere to go.
        player.close();
        store.set({ job: null, trouble: { id: message.job, code: 'video_gone', detail: '' } });
        break;
      }
      // Going back would lead here again.
      history.replaceState(null, '', '/');
      route();
      composer.refuse({ code: 'no_such_job' });
      break;
  }
}

/**
 * A clip whose length nobody knows yet, with one segment more.
 * @param {import('./store.js').Clip} clip @param {number} segment @param {number | null} end seconds
 */
function grown(clip, segment, end) {
  if (!clip.open || end === null || segment !== clip.segment_ends.length) return clip;
  const frames = Math.round(end * clip.frame_rate);
  return { ...clip, segment_ends: [...clip.segment_ends, end], segments: segment + 1, duration_secs: end, frames };
}

/** @param {import('./store.js').Clip} clip @param {number} segment */
function framesOf(clip, segment) {
  const [start, end] = [segment === 0 ? 0 : clip.segment_ends[segment - 1], clip.segment_ends[segment]];
  return Math.round((end - start) * clip.frame_rate) || 0;
}

/** The player opens a job once there is something to open. @param {import('./store.js').Job} job */
function show(job) {
  const over = job.state === 'failed' || job.state === 'cancelled';
  const left = over ? secondsLeft(job) : 0;
  if (job.clip) controls.setDuration(over ? left : job.clip.duration_secs);
  if (over && (opened === job.id || left === 0)) {
    player.settle(left);
    return;
  }
  // Nobody knows when the first segment of an open clip will come, and a list without one is not waited for here.
  if (!job.clip || opened === job.id || (job.clip.open && !readiness.has(0))) {
    if (job.state === 'done') player.reconsider();
    return;
  }
  opened = job.id;
  player.open(job, readiness, !over && (ownJob === job.id || job.state !== 'done'));
}

/** How much plays of a job whose frames came from outside and ended early. @param {import('./store.js').Job} job */
function secondsLeft(job) {
  const [first, end] = job.clip?.ready[0] ?? [0, 0];
  return job.frames && first === 0 && end > 0 ? (job.clip?.segment_ends?.[end - 1] ?? 0) : 0;
}

/** Seconds from the beginning of a job that there are without a hole. @param {import('./store.js').Job} job */
function madeSecs(job) {
  const ends = job.clip?.segment_ends ?? [];
  const missing = ends.findIndex((_end, k) => !readiness.has(k));
  return ends[(missing < 0 ? ends.length : missing) - 1] ?? 0;
}

/** @param {(onProgress: (fraction: number) => void) => Promise<import('./store.js').Job>} make @param {string} avatar */
async function generate(make, avatar) {
  await begin(avatar, () => {
    composer.uploading(0);
    return make((fraction) => composer.uploading(fraction));
  });
}

/**
 * Makes a job and opens it, or says why there is none. Where the avatar cannot hear, a dialog says what to do, and tries again.
 * @param {string} avatar @param {() => Promise<import('./store.js').Job>} make
 */
async function begin(avatar, make) {
  if (isBeginning) return;
  isBeginning = true;
  const details = await tryToBegin(avatar, make).finally(() => (isBeginning = false));
  if (details) missing.show(details, () => tryToBegin(avatar, make));
}

/** The avatar, if it cannot hear. @param {string} avatar @param {() => Promise<import('./store.js').Job>} make */
async function tryToBegin(avatar, make) {
  try {
    const job = await make();
    ownJob = job.id;
    composer.uploading(null);
    open(job.id);
    return null;
  } catch (error) {
    const problem = /** @type {api.ApiError} */ (error);
    composer.refuse(problem);
    if (problem.code !== 'features_needed') return null;
    const details = await api.avatar(avatar).catch(() => null);
    return details?.missing_extractor ? details : null;
  }
}

/** Shows a job. @param {string} id */
function open(id) {
  history.pushState(null, '', `/j/${id}`);
  route();
}

function leave() {
  history.pushState(null, '', '/');
  route();
}

/** What went wrong with a job that may not be shown any more. @param {string} id @param {api.ApiError} problem */
function tell(id, problem) {
  const { code, detail } = problem;
  if (store.get().job?.id === id) store.set({ trouble: { id, code, detail } });
  else composer.refuse(problem);
}

/** The job that the address names: `/j/ID`, `/embed/ID`, or `#ID` of older links. */
function named() {
  const old = /^#([a-z2-7]{16})$/.exec(location.hash)?.[1];
  if (old) history.replaceState(null, '', `/j/${old}`);
  return /^\/(?:j|embed)\/([a-z2-7]{16})$/.exec(location.pathname)?.[1] ?? null;
}

/** What is shown, as the address named it. @type {string | null} */
let routed = null;

/** The address names the job, so a reload or a sent link comes back to it. */
function route() {
  const id = named();
  routed = id;
  if (id && id === store.get().job?.id) return;
  if (id) composer.rest();
  /** @type {HTMLElement | null} */ (byId('panel').querySelector('.rename'))?.blur();
  opened = '';
  player.close();
  controls.show(false);
  log.clear();
  plot.clear();
  byId('share-link').hidden = true;
  readiness = new Readiness();
  readiness.onWant = (segment) => events.want(segment);
  store.set({ job: null, mode: 'idle', wait: null, muted: false });
  video.muted = false;
  byId('composer').hidden = id !== null;
  byId('panel').hidden = id === null;
  avatarPart.show(id === null);
  events.follow(id);
  if (id === null) recent.refresh();
  else recent.hide();
  showPoster(composer.chosenAvatar());
  if (matchMedia('(max-width: 719px)').matches) scrollTo({ top: 0 });
}

/** @typedef {Pick<import('./store.js').Avatar, 'thumbnail' | 'credits' | 'width' | 'height'>} Face */

/**
 * The avatar of a job. Where frames come from outside, or it was deleted, the first picture stands for it.
 * @param {import('./store.js').Job} job
 * @returns {Face}
 */
function faceOf(job) {
  const avatar = composer.avatar(job.avatar);
  if (avatar) return avatar;
  const thumbnail = job.progress.frames > 0 ? job.links.poster : '';
  const isShown = thumbnail !== '' && poster.getAttribute('src') === thumbnail && poster.naturalWidth > 0;
  const size = isShown ? { width: poster.naturalWidth, height: poster.naturalHeight } : { width: 1, height: 1 };
  const { width, height } = job.frames ?? size;
  return { credits: '', thumbnail, width, height };
}

/** @param {Face | null} face */
function showPoster(face) {
  poster.hidden = !face?.thumbnail;
  setText(byId('credit'), face?.credits ?? '');
  if (!face) return;
  if (face.thumbnail && poster.getAttribute('src') !== face.thumbnail) poster.src = face.thumbnail;
  byId('screen').style.setProperty('--ratio', String(face.width / face.height));
}

function render() {
  const { job, mode, wait, muted, connected, trouble } = store.get();
  const screen = byId('screen');
  screen.dataset.mode = mode;
  byId('connection').hidden = connected;

  const shown = mode !== 'idle' && mode !== 'loading';
  controls.show(shown);
  controls.draw();
  byId('start').hidden = mode !== 'ready';
  byId('sound').hidden = !(muted && video.muted && mode === 'playing');
  byId('hold').hidden = !['loading', 'waiting', 'stalled'].includes(mode);
  byId('play-now').hidden = mode !== 'waiting';
  // Nothing comes before the server is back.
  const isCutOff = !connected && (mode === 'loading' || mode === 'stalled');
  const holdTexts = {
    loading: t(isCutOff ? 'connection.lost' : 'player.loading'),
    waiting: wait === null ? t('player.loading') : t('player.plays_through_in', { span: span(wait, t) }),
    stalled: t(isCutOff ? 'connection.lost' : 'player.stalled'),
  };
  setText(byId('hold-text'), holdTexts[/** @type {keyof typeof holdTexts} */ (mode)] ?? '');

  byId('screen-connection').hidden = connected || isCutOff;
  const problem = job?.error ?? (trouble?.id === named() ? trouble : null);
  const said = problem ?? (job?.state === 'cancelled' ? { code: 'cancelled' } : null);
  // What can be seen is not covered.
  byId('screen-trouble').hidden = !said || mode === 'playing';
  setText(byId('screen-trouble'), said ? i18n.explain(said) : '');

  controls.setCaptions(job);
  if (!job) {
    // Nobody knows yet whose face it is, unless it was chosen here.
    if (named() && named() !== ownJob) showPoster(null);
    byId('badge').hidden = true;
    document.title = 'headcast';
    return;
  }
  showPoster(faceOf(job));
  const live = job.state === 'rendering';
  const badge = byId('badge');
  badge.hidden = !live;
  badge.classList.toggle('on-air', mode === 'playing');
  const isOpen = Boolean(job.clip?.open);
  setText(byId('badge-text'), isOpen ? t('badge.live') : mode === 'playing' ? t('badge.on_air') : t('badge.rendering'));
  log.setName(job.title);
  plot.setFrameRate(job.clip?.frame_rate ?? 0);
  renderPanel({ ...job, error: problem }, mode === 'waiting' ? wait : null, madeSecs(job));
  const percent = job.progress.total ? Math.floor((100 * job.progress.frames) / job.progress.total) : 0;
  const reached = isOpen ? t('badge.live') : `${percent}%`;
  document.title = live ? `${reached} · ${job.title}` : `${job.title} · headcast`;
}

/** What the server says of its own build and machine, in its own words. @param {string[]} notes */
function showNotes(notes) {
  byId('notes').hidden = notes.length === 0;
  byId('note-list').replaceChildren(...notes.map((note) => element('li', {}, [note])));
}

async function renderLanguage() {
  const other = i18n.current() === 'zh' ? 'en' : 'zh';
  const button = byId('language');
  button.textContent = other === 'zh' ? '中文' : 'English';
  button.lang = other;
  button.setAttribute('aria-label', button.textContent);
  composer.render();
  avatarPart.render();
  recent.render();
  log.render();
  missing.render();
  controls.render();
  render();
}

byId('language').addEventListener('click', async () => {
  try {
    await i18n.load(i18n.current() === 'zh' ? 'en' : 'zh', true);
    renderLanguage();
  } catch {
    composer.refuse({ code: 'unreachable' });
  }
});
byId('home').addEventListener('click', (/** @type {Event} */ event) => {
  event.preventDefault();
  leave();
});
byId('again').addEventListener('click', () => leave());
byId('cancel').addEventListener('click', async () => {
  const { job } = store.get();
  if (job) await api.cancel(job.id).catch((problem) => tell(job.id, problem));
});
// These go when they are pressed; what goes on with the video is beside them.
const play = () => {
  player.playNow();
  byId('toggle').focus();
};
byId('start').addEventListener('click', play);
byId('play-now').addEventListener('click', play);
byId('sound').addEventListener('click', () => {
  video.muted = false;
  store.set({ muted: false });
  byId('mute').focus();
});
video.addEventListener('volumechange', () => store.set({}));
// The size of a face that nobody knows any more.
poster.addEventListener('load', () => store.set({}));
/**
 * @param {HTMLElement} button whose words are `word` when it has nothing to tell
 * @param {string} word @param {string} copied @param {string} text
 */
async function copy(button, word, copied, text) {
  try {
    await navigator.clipboard.writeText(text);
    setText(button, t(copied));
  } catch {
    // No permission, or no HTTPS: show it, so that the reader's own copy key works.
    setText(byId('share-link'), text);
    byId('share-link').hidden = false;
    getSelection()?.selectAllChildren(byId('share-link'));
  }
  setTimeout(() => setText(button, t(word)), 1600);
}
byId('share').addEventListener('click', () => {
  const { job } = store.get();
  if (job) copy(byId('share'), 'panel.share', 'panel.share_copied', new URL(job.links.page, location.href).href);
});
byId('embed').addEventListener('click', () => {
  const { job } = store.get();
  if (!job) return;
  const { width, height } = faceOf(job);
  const address = new URL(`/embed/${job.id}`, location.href).href;
  const snippet = `<iframe src="${address}" style="width: 100%; max-width: 640px; aspect-ratio: ${width} / ${height}; border: 0" allow="autoplay; fullscreen; picture-in-picture"></iframe>`;
  copy(byId('embed'), 'panel.embed', 'panel.embed_copied', snippet);
});
byId('rename').addEventListener('click', () => {
  const { job } = store.get();
  if (!job) return;
  byId('rename').hidden = true;
  editName(byId('job-title'), {
    value: job.title,
    label: t('recent.new_name'),
    // The server tells every tab of it, this one too.
    onSave: (title) => api.rename(job.id, title).catch((problem) => tell(job.id, problem)),
    onEnd(byKey) {
      byId('rename').hidden = false;
      if (byKey) byId('rename').focus();
    },
  });
});
// The link past the header changes the address, too.
const follow = () => named() !== routed && route();
addEventListener('popstate', follow);
addEventListener('hashchange', follow);

await i18n.load(i18n.preferred());
renderLanguage();
store.subscribe(render);
try {
  const [info, avatars, samples] = await Promise.all([api.info(), api.avatars(), api.samples()]);
  composer.fill(info, avatars, samples);
  avatarPart.fill(info, avatars);
  showNotes(info.notes);
  byId('embed').hidden = !info.embeddable;
} catch (error) {
  composer.refuse(/** @type {api.ApiError} */ (error));
}
route();
// Shown at once as a whole, so that nothing jumps about: with the job that the address names, unless that takes its time.
const appear = () => document.documentElement.classList.add('ready');
if (named()) setTimeout(appear, PATIENCE);
store.subscribe(({ job, trouble }) => {
  if (job || trouble || !named()) appear();
});
