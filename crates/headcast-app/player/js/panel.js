// How the job goes.

import { byId, setText } from './dom.js';
import { clock, decimal, span } from './format.js';
import { current, explain, t } from './i18n.js';
import { renderStages } from './stages.js';

/** The tenth that was announced last, so that a screen reader hears ten messages and not a thousand. */
let announced = '';

/**
 * @param {import('./store.js').Job} job
 * @param {number | null} wait seconds until it plays through; `null` when playing already or unknown
 * @param {number} made seconds from the beginning that there are without a hole
 */
export function renderPanel(job, wait, made) {
  const { progress } = job;
  const language = current();
  const over = ['done', 'failed', 'cancelled'].includes(job.state);
  const fraction = progress.total ? progress.frames / progress.total : 0;
  const percent = Math.floor(100 * fraction);

  setText(byId('job-title'), job.title);
  setText(byId('job-state'), stateText(job));
  byId('panel').dataset.state = job.state;

  const bar = byId('bar');
  // Without a value, it is read out as one that nobody knows.
  if (progress.total) bar.setAttribute('aria-valuenow', String(percent));
  else bar.removeAttribute('aria-valuenow');
  bar.classList.toggle('unknown', !over && !progress.total);
  byId('bar-fill').style.width = `${100 * fraction}%`;
  setText(byId('percent'), progress.total ? `${percent}%` : '');
  setText(byId('eta'), etaText(job));

  setText(byId('fact-frames'), framesText(job));
  setText(byId('fact-fps'), progress.fps ? decimal(progress.fps, 1, language) : '–');
  const speed = byId('fact-speed');
  setText(speed, progress.times_real_time ? `${decimal(progress.times_real_time, 2, language)}×` : '–');
  speed.classList.toggle('slow', progress.times_real_time > 0 && progress.times_real_time < 1);

  renderStages(progress.stages);

  const pace = byId('pace');
  pace.hidden = wait === null || over;
  setText(pace, wait === null ? '' : t('panel.plays_through_in', { span: span(wait, t) }));

  const trouble = byId('job-trouble');
  trouble.hidden = !job.error;
  setText(trouble, job.error ? explain(job.error) : '');

  const cancel = byId('cancel');
  const isFocused = document.activeElement === cancel;
  cancel.hidden = over;
  byId('again').hidden = !over || Boolean(job.frames);
  if (isFocused && over) byId('again').focus();
  const download = byId('download');
  download.hidden = job.state !== 'done';
  download.href = `${job.links.video}?download`;
  renderPart(job, made, over);

  for (const [kind, address] of [['srt', job.links.srt], ['vtt', job.links.vtt]]) {
    const link = byId(`download-${kind}`);
    link.hidden = !job.captions;
    link.href = `${address}?download`;
    link.setAttribute('aria-label', t('panel.captions', { kind: kind.toUpperCase() }));
  }

  const tenth = over ? job.state : `${job.state} ${progress.phase} ${Math.floor(percent / 10)}`;
  if (tenth !== announced) {
    announced = tenth;
    setText(byId('announce'), progress.total && !over ? `${stateText(job)} ${percent}%` : stateText(job));
  }
}

/** What there is of the file, in the place of the whole one: nothing moves when that comes.
 * @param {import('./store.js').Job} job @param {number} made @param {boolean} over */
function renderPart(job, made, over) {
  const part = byId('download-part');
  // Less than a second is not worth taking.
  const there = made >= 1;
  part.hidden = job.state === 'done' || (over && !there);
  setText(part, there ? t('panel.download_part', { time: clock(made) }) : t('panel.download'));
  part.setAttribute('aria-disabled', String(!there));
  if (there) part.setAttribute('href', `${job.links.video}?partial&download`);
  else part.removeAttribute('href');
}

/** @param {import('./store.js').Job} job */
export function stateText(job) {
  if (job.state === 'queued') {
    return job.queue_position > 0 ? t('state.queued_behind', { n: job.queue_position }) : t('state.queued');
  }
  if (job.state === 'opening') return t(`phase.${job.progress.phase}`);
  if (job.state === 'rendering' && job.progress.phase === 'awaiting') return t('phase.awaiting');
  if (job.state === 'rendering' && job.clip?.open) return t('state.live');
  return t(`state.${job.state}`);
}

/** @param {import('./store.js').Job} job */
function framesText({ clip, progress }) {
  if (clip?.open) return String(progress.frames);
  return progress.total ? `${progress.frames} / ${progress.total}` : '–';
}

/** @param {import('./store.js').Job} job */
function etaText(job) {
  if (job.state === 'done' && job.started_ms && job.finished_ms) {
    return t('panel.took', { span: span((job.finished_ms - job.started_ms) / 1000, t) });
  }
  if (job.clip?.open) return job.clip.segments > 0 ? t('panel.so_far', { span: span(job.clip.duration_secs, t) }) : '';
  const { eta_secs: eta } = job.progress;
  return job.state === 'rendering' && eta !== null ? t('panel.left', { span: span(eta, t) }) : '';
}
