// The REST interface.

/** A refusal, with the server's code and words. */
export class ApiError extends Error {
  /** @param {string} code @param {string} detail @param {number} status */
  constructor(code, detail, status) {
    super(detail || code);
    this.code = code;
    this.detail = detail;
    this.status = status;
  }
}

/** @param {string} path @param {RequestInit} [init] */
async function call(path, init) {
  let answer;
  try {
    answer = await fetch(path, init);
  } catch {
    throw new ApiError('unreachable', '', 0);
  }
  if (answer.status === 204) return null;
  const body = await answer.json().catch(() => null);
  if (!answer.ok) throw new ApiError(body?.code ?? 'unknown', body?.detail ?? '', answer.status);
  return body;
}

export const info = () => call('/api/v1/info');
export const avatars = () => call('/api/v1/avatars');
export const voices = () => call('/api/v1/voices');
export const samples = () => call('/api/v1/samples');

/** The newest jobs. @param {number} limit */
export const jobs = (limit) => call(`/api/v1/jobs?limit=${limit}`);

/** @param {string} id */
export const job = (id) => call(`/api/v1/jobs/${encodeURIComponent(id)}`);

/** @param {string} id */
export const cancel = (id) => call(`/api/v1/jobs/${encodeURIComponent(id)}/cancel`, { method: 'POST' });

/** @param {string} id */
export const deleteJob = (id) => call(`/api/v1/jobs/${encodeURIComponent(id)}`, { method: 'DELETE', keepalive: true });

/** @param {string} id @param {string} title empty for the name of the recording @returns {Promise<import('./store.js').Job>} */
export const rename = (id, title) =>
  call(`/api/v1/jobs/${encodeURIComponent(id)}`, { method: 'PATCH', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ title }) });

/**
 * The same recording again.
 * @param {string} id
 * @param {Record<string, string>} change
 * @returns {Promise<import('./store.js').Job>}
 */
export const rerun = (id, change) =>
  call(`/api/v1/jobs/${encodeURIComponent(id)}/rerun`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(change) });

/** Everything that is known of one. @param {string} name */
export const avatar = (name) => call(`/api/v1/avatars/${encodeURIComponent(name)}`);

/** @param {string} name */
export const deleteAvatar = (name) => call(`/api/v1/avatars/${encodeURIComponent(name)}`, { method: 'DELETE' });

/** @param {string} id */
export const forgetInspection = (id) => call(`/api/v1/inspections/${encodeURIComponent(id)}`, { method: 'DELETE' });

/**
 * @param {FormData} form
 * @param {(fraction: number) => void} onProgress
 * @returns {Promise<import('./store.js').Job>}
 */
export const createJob = (form, onProgress) => send('/api/v1/jobs', form, onProgress);

/** @param {Record<string, string | number>} wish @returns {Promise<import('./store.js').Job>} */
export const newJob = (wish) => call('/api/v1/jobs', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(wish) });

/**
 * A file for a job that is made later.
 * @param {File} file
 * @param {(fraction: number) => void} onProgress
 * @param {AbortSignal} signal
 * @returns {Promise<{id: string}>}
 */
export const upload = (file, onProgress, signal) => send(`/api/v1/uploads?name=${encodeURIComponent(file.name)}`, file, onProgress, signal);

/** @param {string} id */
export const forgetUpload = (id) => call(`/api/v1/uploads/${encodeURIComponent(id)}`, { method: 'DELETE' });

/**
 * Sends a form or a file. `fetch` cannot tell how much of a body is sent, so this is an XMLHttpRequest.
 *
 * @param {string} path
 * @param {FormData | File} body
 * @param {(fraction: number) => void} onProgress
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
export function send(path, body, onProgress, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    signal?.addEventListener('abort', () => request.abort());
    request.onabort = () => reject(new ApiError('unreachable', '', 0));
    request.open('POST', path);
    request.responseType = 'json';
    request.upload.onprogress = (event) => {
      if (event.lengthComputable) onProgress(event.loaded / event.total);
    };
    request.onload = () => {
      const answer = request.response;
      if (request.status === 200 || request.status === 201) resolve(answer);
      else reject(new ApiError(answer?.code ?? 'unknown', answer?.detail ?? '', request.status));
    };
    request.onerror = () => reject(new ApiError('unreachable', '', 0));
    request.send(body);
  });
}
