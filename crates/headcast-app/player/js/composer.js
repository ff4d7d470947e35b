// Choosing a voice and a face.

import { Ahead } from './ahead.js';
import * as api from './api.js';
import { byId, element, setText } from './dom.js';
import { clock, size, span } from './format.js';
import { current, explain, has, t } from './i18n.js';
import { addLivePicture } from './preview.js';
import { createRecorder } from './recorder.js';
import { createScript } from './script.js';
import { createTrim } from './trim.js';

/** What the avatar may do besides speaking, its default first: words for what `body` of a new job may be. */
const BODY = Object.entries({
  background: ['background.own', 'background.green', 'background.white', 'background.black', 'background.colour', 'background.picture'],
  eyes: ['eyes.recorded', 'eyes.blink', 'eyes.0'],
  poses: ['poses.loop', 'poses.0'],
});

const ACCEPTED = /\.(wav|mp3|m4a|mp4|aac|flac|ogg|oga|opus|webm)$/i;

/**
 * @param {{onGenerate: (make: (onProgress: (fraction: number) => void) => Promise<import('./store.js').Job>, avatar: string) => void, onAvatar: (avatar: import('./store.js').Avatar) => void}} hooks
 */
export function createComposer(hooks) {
  const drop = byId('drop');
  const fileInput = byId('audio');
  const features = byId('features');
  const picture = byId('picture');
  const generate = byId('generate');
  const trouble = byId('composer-trouble');

  /** @type {import('./store.js').Info | null} */
  let info = null;
  /** @type {import('./store.js').Avatar[]} */
  let avatars = [];
  /** @type {import('./store.js').Sample[]} */
  let samples = [];
  /** @type {File | null} */
  let file = null;
  /** @type {string | null} */
  let sample = null;
  const ahead = new Ahead();
  let avatar = '';
  let seconds = 0;
  /** @type {number | null} */
  let sent = null;
  /** @type {{code: string, detail?: string} | null} */
  let problem = null;

  /** @param {File} chosen */
  function chooseFile(chosen) {
    problem = null;
    if (!ACCEPTED.test(chosen.name) && !chosen.type.startsWith('audio/')) problem = { code: 'not_audio_name' };
    else if (chosen.size === 0) problem = { code: 'audio_empty' };
    else if (info && chosen.size > info.limits.audio_bytes) problem = { code: 'too_large' };
    // What was chosen before is none the worse for it.
    if (!problem) {
      seconds = 0;
      file = chosen;
      sample = null;
      trim.choose(file);
      ahead.choose(file);
    }
    render();
  }

  // Its sound and length, as far as the browser can tell, and what is spoken of it.
  const trim = createTrim({
    onLength(found) {
      seconds = found;
      render();
    },
    onChange: () => forget('trim_'),
  });

  const script = createScript({
    voices: api.voices,
    onChange() {
      rest();
      if (problem?.code.startsWith('text_') || problem?.code.startsWith('voice_') || problem?.code === 'audio_missing') problem = null;
      render();
    },
  });

  /** Whether what is being recorded is to be spoken as soon as it is there. */
  let isAwaited = false;
  const recorder = createRecorder({
    onBegin: () => trim.pause(),
    onRecorded(recorded) {
      chooseFile(recorded);
      if (isAwaited && !problem) byId('composer').requestSubmit();
      isAwaited = false;
    },
    onTrouble(found) {
      problem = found;
      render();
    },
  });

  /** Nothing sounds or listens where nobody sees it. */
  function rest() {
    trim.pause();
    recorder.finish();
  }

  /** @param {File} chosen by hand, wherever on the page */
  function takeFile(chosen) {
    chooseFile(chosen);
    if (!problem) script.leave();
    render();
  }

  fileInput.addEventListener('change', () => {
    if (fileInput.files?.[0]) takeFile(fileInput.files[0]);
    // So that choosing the same file again is a change.
    fileInput.value = '';
  });
  // Anywhere on the page: aiming at a box is needless work.
  let depth = 0;
  const carriesFile = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes('Files');
  addEventListener('dragenter', (event) => {
    if (!carriesFile(event)) return;
    depth += 1;
    drop.classList.add('over');
  });
  addEventListener('dragleave', () => {
    depth = Math.max(0, depth - 1);
    if (depth === 0) drop.classList.remove('over');
  });
  addEventListener('dragover', (event) => {
    if (carriesFile(event)) event.preventDefault();
  });
  addEventListener('drop', (event) => {
    depth = 0;
    drop.classList.remove('over');
    const dropped = event.dataTransfer?.files[0];
    // What became an avatar is no recording.
    if (!dropped || event.defaultPrevented) return;
    event.preventDefault();
    if (!byId('composer').hidden) takeFile(dropped);
  });
  addEventListener('paste', (event) => {
    const pasted = event.clipboardData?.files[0];
    // Office programs put a picture beside the words.
    const isText = event.clipboardData?.types.includes('text/plain');
    if (pasted && !isText && !byId('composer').hidden) takeFile(pasted);
  });

  byId('composer').addEventListener('submit', (/** @type {Event} */ event) => {
    event.preventDefault();
    if (sent !== null) return;
    if (recorder.isRunning()) {
      isAwaited = true;
      recorder.finish();
      return;
    }
    rest();
    const missing = script.isChosen() ? script.problem() : !file && !sample ? { code: 'audio_missing' } : null;
    if (missing) {
      problem = missing;
      render();
      if (script.isChosen()) script.focus();
      else fileInput.focus();
      return;
    }
    const wrong = !script.isChosen() && file && trim.problem();
    if (wrong) {
      problem = wrong;
      render();
      wrong.field.focus();
      return;
    }
    const behind = background();
    if (behind && 'code' in behind) {
      problem = behind;
      render();
      picture.focus();
      return;
    }
    const heard = script.isChosen() ? null : (features.files?.[0] ?? null);
    if (info && heard && heard.size > info.limits.features_bytes) {
      problem = { code: 'features_too_large' };
      render();
      features.focus();
      return;
    }
    const form = new FormData();
    for (const [name, value] of Object.entries(choices())) form.set(name, value);
    if (heard) form.set('features', heard);
    if (behind) form.set('background', behind);
    if (script.isChosen()) for (const [name, value] of Object.entries(script.fields())) form.set(name, value);
    else if (sample) form.set('sample', sample);
    else if (file) {
      form.set('audio', file);
      for (const [name, value] of Object.entries(trim.cut())) form.set(name, value);
    }
    hooks.onGenerate((onProgress) => ahead.createJob(form, onProgress), avatar);
  });

  /** Who speaks, and how: fields of a new job. @returns {Record<string, string>} */
  function choices() {
    const chosen = { avatar, body: body() };
    return info && info.profiles.length > 1 ? { ...chosen, profile: byId('profile').value } : chosen;
  }

  /** Choices that differ from the default, as the server reads them. */
  function body() {
    const chosen = BODY.filter(([name]) => byId(name).selectedIndex > 0).map(([name]) => [name, byId(name).value]);
    return chosen.map(([name, value]) => `${name}=${value === 'colour' ? byId('colour').value : value}`).join(' ');
  }

  /** Makes the choices of `body`; what the form has no words for stays at its default. @param {string} text as of a job */
  function setBody(text) {
    const wanted = new Map(text.split(/\s+/).map((word) => /** @type {[string, string]} */ (word.split('=', 2))));
    for (const [name] of BODY) {
      const select = /** @type {HTMLSelectElement} */ (byId(name));
      const value = wanted.get(name) ?? '';
      const isColour = value.startsWith('#');
      if (isColour) byId('colour').value = value.toLowerCase();
      select.value = isColour ? 'colour' : value;
      if (select.selectedIndex < 0) select.selectedIndex = 0;
    }
  }

  /** The picture that is asked for, or what is wrong with it; `null` where none is.
   * @returns {File | {code: string} | null} */
  function background() {
    if (byId('background').value !== 'picture') return null;
    const chosen = picture.files?.[0];
    if (!chosen) return { code: 'background_missing' };
    if (!/\.(png|jpe?g)$/i.test(chosen.name) && !['image/png', 'image/jpeg'].includes(chosen.type)) return { code: 'background_not_picture' };
    if (info && chosen.size > info.limits.background_bytes) return { code: 'background_too_large' };
    return chosen;
  }

  /** What was wrong with a choice that is another one now. @param {string} codes what their names begin with */
  function forget(codes) {
    if (problem?.code.startsWith(codes)) problem = null;
    render();
  }
  byId('background').addEventListener('change', () => forget('background_'));
  picture.addEventListener('change', () => forget('background_'));
  features.addEventListener('change', () => forget('features_'));

  function renderBody() {
    for (const [name, choices] of BODY) {
      const select = byId(name);
      const chosen = Math.max(0, select.selectedIndex);
      select.replaceChildren(...choices.map((key) => element('option', { value: key.split('.')[1] }, [t(key)])));
      select.selectedIndex = chosen;
    }
    byId('colour-field').hidden = byId('background').value !== 'colour';
    byId('picture-field').hidden = byId('background').value !== 'picture';
    if (!info) return;
    setText(byId('picture-hint'), t('more.picture_hint', { size: size(info.limits.background_bytes, current()) }));
    setText(byId('features-hint'), t('more.features_hint', { size: size(info.limits.features_bytes, current()) }));
  }

  function renderSamples() {
    byId('samples').hidden = samples.length === 0;
    byId('sample-list').replaceChildren(
      ...samples.map((entry) => {
        const chip = element('button', { type: 'button', class: 'chip', lang: entry.language, 'aria-pressed': String(entry.id === sample) }, [entry.title]);
        chip.addEventListener('click', () => {
          problem = null;
          sample = sample === entry.id ? null : entry.id;
          if (sample) {
            file = null;
            trim.choose(null);
            ahead.choose(null);
          }
          render();
          // Rendering replaced the button that had the focus.
          /** @type {HTMLElement} */ (byId('sample-list').children[samples.indexOf(entry)]).focus();
        });
        return chip;
      }),
    );
  }

  function renderFaces() {
    const checked = avatar;
    byId('faces').replaceChildren(
      ...avatars.map((entry) => {
        const input = /** @type {HTMLInputElement} */ (element('input', { type: 'radio', name: 'avatar', value: entry.name, class: 'visually-hidden' }));
        input.checked = entry.name === checked;
        input.addEventListener('change', () => chooseAvatar(entry.name));
        const card = element('label', { class: 'face' }, [
          input,
          element('span', { class: 'face-name' }, [entry.title]),
          element('span', { class: 'face-size' }, [`${entry.width} × ${entry.height}`]),
        ]);
        addLivePicture(card, entry);
        return card;
      }),
    );
  }

  /** @param {string} name */
  function chooseAvatar(name) {
    const chosen = avatars.find((entry) => entry.name === name) ?? avatars[0];
    if (!chosen) return;
    avatar = chosen.name;
    localStorage.setItem('headcast.avatar', avatar);
    hooks.onAvatar(chosen);
  }

  function render() {
    const chosen = samples.find((entry) => entry.id === sample);
    drop.classList.toggle('chosen', Boolean(file));
    const limits = info && t('voice.limits', { span: span(info.limits.audio_secs, t), size: size(info.limits.audio_bytes, current()) });
    setText(byId('drop-title'), file ? file.name : t('voice.drop'));
    const facts = file ? [seconds ? clock(seconds) : '', size(file.size, current()), t('voice.change')] : [];
    setText(byId('drop-detail'), file ? facts.filter(Boolean).join(' · ') : [t('voice.formats'), limits].filter(Boolean).join(' · '));
    renderSamples();
    trim.render();

    trouble.hidden = !problem;
    setText(trouble, problem ? explain(problem) : '');
    const working = sent !== null;
    generate.setAttribute('aria-disabled', String(working));
    byId('upload-fill').style.width = sent === null ? '0' : `${100 * sent}%`;
    const upload = sent !== null && sent < 1 ? t('composer.uploading', { percent: Math.round(100 * sent) }) : t('composer.checking');
    setText(byId('generate-text'), working ? upload : t('composer.generate'));
    byId('composer').classList.toggle('has-voice', script.isChosen() ? script.hasText() : Boolean(file || chosen));

    const profiles = info?.profiles ?? [];
    const select = byId('profile');
    const value = select.value;
    byId('profile-field').hidden = profiles.length < 2;
    select.replaceChildren(
      ...profiles.map((name) => element('option', { value: name }, [has(`profile.${name}`) ? t(`profile.${name}`) : name])),
    );
    if (profiles.includes(value)) select.value = value;
    renderBody();
  }

  return {
    render() {
      script.render();
      render();
    },
    /** For a video that is made again; `null`, and a sentence, where that cannot be. */
    choicesAgain() {
      if (byId('background').value !== 'picture') return choices();
      problem = { code: 'background_not_again' };
      render();
      trouble.scrollIntoView({ block: 'nearest' });
      return null;
    },

    /** The form is left. */
    rest,

    /** @param {import('./store.js').Info} newInfo @param {import('./store.js').Avatar[]} newAvatars @param {import('./store.js').Sample[]} newSamples */
    fill(newInfo, newAvatars, newSamples) {
      info = newInfo;
      avatars = newAvatars;
      // A reader's own language first.
      samples = [...newSamples].sort((a, b) => Number(b.language === current()) - Number(a.language === current()));
      script.fill(info.limits.text_chars);
      chooseAvatar(localStorage.getItem('headcast.avatar') ?? '');
      renderFaces();
      render();
    },

    /** Other faces than before; the present choice stays where it can. @param {import('./store.js').Avatar[]} newAvatars @param {string | null} choose */
    setAvatars(newAvatars, choose) {
      avatars = newAvatars;
      chooseAvatar(choose ?? avatar);
      renderFaces();
    },

    /** The face of a video and how it was made, for other words: those that are chosen already, if any are.
     * @param {import('./store.js').Job} job */
    take(job) {
      const isThere = avatars.some(({ name }) => name === job.avatar);
      if (isThere) chooseAvatar(job.avatar);
      renderFaces();
      if (job.profile && info?.profiles.includes(job.profile)) byId('profile').value = job.profile;
      setBody(job.body ?? '');
      // Choices that differ from the default are not made unseen.
      byId('more').open ||= body() !== '';
      if (job.voice && !file) script.take(job.voice, job.speed ?? 1);
      problem = isThere ? null : { code: 'no_such_avatar' };
      render();
      byId('composer').scrollIntoView({ block: 'start' });
      if (script.isChosen()) script.focus();
      else fileInput.focus({ preventScroll: true });
    },

    /** How much is uploaded, from 0 to 1; `null` when nothing is under way. @param {number | null} fraction */
    uploading(fraction) {
      sent = fraction;
      if (fraction !== null) problem = null;
      render();
    },

    /** @param {{code: string, detail?: string}} refused */
    refuse(refused) {
      sent = null;
      problem = refused;
      render();
      // The list that it may be about is far below.
      trouble.scrollIntoView({ block: 'nearest' });
    },

    /** @param {string} name */
    avatar: (name) => avatars.find((entry) => entry.name === name) ?? null,
    chosenAvatar: () => avatars.find((entry) => entry.name === avatar) ?? null,
  };
}
