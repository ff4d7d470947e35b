// Recordings that are sent when they are chosen, so that nobody waits for that once the button is pressed.

import * as api from './api.js';

/** Larger ones are sent with the job: most of the time somebody who chooses a file goes on to use it, but not always. */
const MOST_BYTES = 64 * 2 ** 20;

export class Ahead {
  constructor() {
    /** @type {File | null} */
    this.file = null;
    /** Its name on the server; null of one that could not be sent. @type {Promise<string | null>} */
    this.upload = Promise.resolve(null);
    this.abort = new AbortController();
    this.fraction = 0;
    this.onProgress = (/** @type {number} */ _fraction) => {};
  }

  /** Sends `file`, in the place of the one before. @param {File | null} file */
  choose(file) {
    if (file === this.file) return;
    this.abort.abort();
    // Nobody asks for it any more.
    this.upload.then((id) => id && api.forgetUpload(id).catch(() => {}));
    this.file = null;
    this.upload = Promise.resolve(null);
    if (!file || file.size > MOST_BYTES) return;
    this.abort = new AbortController();
    this.file = file;
    this.fraction = 0;
    this.onProgress = () => {};
    const told = (/** @type {number} */ fraction) => {
      this.fraction = fraction;
      this.onProgress(fraction);
    };
    // What went wrong is said when it is sent with the job.
    this.upload = api.upload(file, told, this.abort.signal).then(({ id }) => id, () => null);
  }

  /**
   * A new job, whose recording may be on the server already.
   * @param {FormData} form
   * @param {(fraction: number) => void} onProgress
   * @returns {Promise<import('./store.js').Job>}
   */
  async createJob(form, onProgress) {
    const others = ['features', 'background'].some((name) => form.has(name));
    const id = form.get('audio') === this.file && this.file && !others ? await this.sent(onProgress) : null;
    if (id === null) return api.createJob(form, onProgress);
    /** @type {Record<string, string | number>} */
    const wish = { upload: id };
    for (const [name, value] of form) {
      if (typeof value === 'string') wish[name] = ['start', 'end'].includes(name) ? Number(value) : value;
    }
    try {
      return await api.newJob(wish);
    } catch (error) {
      // It was kept for an hour.
      if (/** @type {api.ApiError} */ (error).code !== 'no_such_upload') throw error;
      return api.createJob(form, onProgress);
    }
  }

  /** The upload, which is used up. @param {(fraction: number) => void} onProgress */
  async sent(onProgress) {
    onProgress(this.fraction);
    this.onProgress = onProgress;
    const upload = this.upload;
    // Whatever is chosen meanwhile is another matter.
    this.file = null;
    this.upload = Promise.resolve(null);
    this.abort = new AbortController();
    return upload;
  }
}
