// Firefox and WebKit, driven by what comes with them: Marionette (a line of JSON after its length, on a socket) and WebKitWebDriver
// (HTTP). Both know the same commands, those of W3C WebDriver.

import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, sleep } from './harness.mjs';

/** What an element is called in answers. */
const ELEMENT = 'element-6066-11e4-a52e-4f735466cecf';
/** How long a browser may take to start, and a script to answer, in milliseconds. */
const PATIENCE = 120_000;

/** Asks again until there is an answer that is not `null`. */
async function soon(what, ask) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    const found = await ask().catch(() => null);
    if (found !== null) return found;
    if (Date.now() > end) throw new Error(`${what} did not come within ${PATIENCE / 1000} s`);
    await sleep(100);
  }
}

/** Starts a program that is ended, with all that it started, by `stop`. */
function start(program, args, env = {}) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true, env: { ...process.env, ...env } });
  let output = '';
  for (const pipe of [child.stdout, child.stderr]) pipe.on('data', (text) => (output = (output + text).slice(-4000)));
  const gone = new Promise((resolve) => child.once('close', resolve));
  child.once('error', (error) => (output += error.message));
  const stop = async () => {
    const kill = (signal) => {
      try {
        process.kill(-child.pid, signal);
      } catch {
        // It has ended.
      }
    };
    kill('SIGTERM');
    await Promise.race([gone, sleep(10_000)]);
    kill('SIGKILL');
  };
  return { stop, output: () => output };
}

/** A socket on which Firefox answers one command after the other. */
async function marionette(port) {
  const socket = await soon('Firefox', () =>
    new Promise((resolve, reject) => {
      const socket = connect(port, '127.0.0.1', () => resolve(socket));
      socket.once('error', reject);
    }),
  );
  let pending = Buffer.alloc(0);
  let number = 0;
  const waiting = new Map();
  const end = () => {
    for (const { reject } of waiting.values()) reject(new Error('Firefox closed the connection'));
    waiting.clear();
  };
  socket.on('close', end);
  socket.on('error', end);
  socket.on('data', (bytes) => {
    pending = Buffer.concat([pending, bytes]);
    for (;;) {
      const colon = pending.indexOf(':');
      if (colon < 0) return;
      const length = Number(pending.subarray(0, colon));
      if (pending.length < colon + 1 + length) return;
      const message = JSON.parse(pending.subarray(colon + 1, colon + 1 + length));
      pending = pending.subarray(colon + 1 + length);
      // First it says who it is.
      if (!Array.isArray(message)) continue;
      const [, id, error, value] = message;
      const { resolve, reject } = waiting.get(id) ?? {};
      waiting.delete(id);
      if (error) reject?.(new Error(error.message ?? error.error));
      else resolve?.(value);
    }
  });
  const ask = (name, parameters = {}) =>
    new Promise((resolve, reject) => {
      number += 1;
      waiting.set(number, { resolve, reject });
      const text = Buffer.from(JSON.stringify([0, number, name, parameters]));
      socket.write(Buffer.concat([Buffer.from(`${text.length}:`), text]));
    });
  return { ask, close: () => socket.destroy() };
}

const FIREFOX = {
  'marionette.port': 0,
  // The language of the page is the browser's.
  'intl.accept_languages': 'en-US, en',
  'datareporting.policy.dataSubmissionEnabled': false,
  'browser.shell.checkDefaultBrowser': false,
  'app.update.disabledForTesting': true,
  // Nothing is fetched from elsewhere.
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  'media.gmp-manager.updateEnabled': false,
  'media.volume_scale': '0.0',
};

/** Firefox without a window. */
export async function firefox(program) {
  const profile = await mkdtemp(join(tmpdir(), 'headcast-firefox-'));
  const port = await freePort();
  const prefs = Object.entries({ ...FIREFOX, 'marionette.port': port });
  await writeFile(join(profile, 'user.js'), prefs.map(([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});\n`).join(''));
  const process = start(program, ['--headless', '--marionette', '--no-remote', '--profile', profile], { MOZ_CRASHREPORTER_DISABLE: '1' });
  const stop = async () => {
    await process.stop();
    await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  };
  try {
    const { ask, close } = await marionette(port);
    const { capabilities } = await ask('WebDriver:NewSession', { strictFileInteractability: false });
    await ask('WebDriver:SetTimeouts', { script: PATIENCE, pageLoad: PATIENCE });
    return {
      version: `${capabilities.browserName} ${capabilities.browserVersion}`,
      go: (url) => ask('WebDriver:Navigate', { url }),
      run: async (script, args) => (await ask('WebDriver:ExecuteAsyncScript', { script, args })).value,
      element: async (selector) => Object.values((await ask('WebDriver:FindElement', { using: 'css selector', value: selector })).value)[0],
      press: (id) => ask('WebDriver:ElementClick', { id }),
      picture: async () => Buffer.from((await ask('WebDriver:TakeScreenshot', { full: false })).value, 'base64'),
      output: process.output,
      stop: async () => {
        close();
        await stop();
      },
    };
  } catch (error) {
    await stop();
    throw new Error(`${program} could not be driven: ${error.message}\n${process.output()}`);
  }
}

/** WebKitGTK's small browser, on a screen that nobody sees. */
export async function webkit({ driver, browser, screen }) {
  const display = `:${90 + Math.floor(Math.random() * 900)}`;
  const port = await freePort();
  const shown = start(screen, [display, '-screen', '0', '1440x900x24', '-nolisten', 'tcp']);
  const env = { DISPLAY: display, GDK_BACKEND: 'x11', LANGUAGE: 'en_US', WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: '1', LIBGL_ALWAYS_SOFTWARE: '1', NO_AT_BRIDGE: '1' };
  const driving = start(driver, [`--port=${port}`, '--host=127.0.0.1'], env);
  const stop = async () => {
    await driving.stop();
    await shown.stop();
  };
  let session = '';
  const ask = async (method, path, body) => {
    const answer = await fetch(`http://127.0.0.1:${port}${session}${path}`, { method, ...(body && { body: JSON.stringify(body) }), signal: AbortSignal.timeout(PATIENCE) });
    const { value } = await answer.json();
    if (!answer.ok) throw new Error(value?.message || value?.error || String(answer.status));
    return value;
  };
  try {
    await soon('WebKitWebDriver', () => ask('GET', '/status'));
    const options = { binary: browser, args: ['--automation'] };
    const made = await ask('POST', '/session', { capabilities: { alwaysMatch: { 'webkitgtk:browserOptions': options } } });
    session = `/session/${made.sessionId}`;
    await ask('POST', '/timeouts', { script: PATIENCE, pageLoad: PATIENCE });
    return {
      version: `${made.capabilities.browserName} ${made.capabilities.browserVersion}`,
      go: (url) => ask('POST', '/url', { url }),
      run: (script, args) => ask('POST', '/execute/async', { script, args }),
      element: async (selector) => (await ask('POST', '/element', { using: 'css selector', value: selector }))[ELEMENT],
      press: (id) => ask('POST', `/element/${id}/click`, {}),
      picture: async () => Buffer.from(await ask('GET', '/screenshot'), 'base64'),
      output: driving.output,
      stop: async () => {
        await ask('DELETE', '').catch(() => null);
        await stop();
      },
    };
  } catch (error) {
    await stop();
    throw new Error(`${driver} could not be driven: ${error.message}\n${driving.output()}\n${shown.output()}`);
  }
}
