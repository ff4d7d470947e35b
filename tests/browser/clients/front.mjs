// A site with other players in front of the program, as an integrator would have it: pages and players of its own,
// and everything else handed on to the program. The program lets no foreign page use it, so the site is one origin.

import { createReadStream } from 'node:fs';
import { createServer, request } from 'node:http';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { root } from '../harness.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const modules = join(here, '../node_modules');

/** What the site has itself. */
const FILES = {
  '/player.html': join(here, 'player.html'),
  '/player.js': join(here, 'player.js'),
  '/hls.mjs': join(root, 'crates/headcast-app/player/vendor/hls.js-1.7.4/hls.light.min.mjs'),
  '/shaka.js': join(modules, 'shaka-player/dist/shaka-player.compiled.js'),
  '/video.js': join(modules, 'video.js/dist/video.min.js'),
};
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript' };

/** Starts the site in front of the program at `url`. */
export async function startFront(url) {
  const program = new URL(url);
  const server = createServer((asked, answer) => {
    const path = new URL(asked.url, url).pathname;
    const file = FILES[path];
    if (file) {
      answer.setHeader('content-type', TYPES[extname(file)]);
      createReadStream(file).pipe(answer);
      return;
    }
    if (path === '/favicon.ico') {
      answer.writeHead(204).end();
      return;
    }
    const onwards = request(
      { host: program.hostname, port: program.port, method: asked.method, path: asked.url, headers: { ...asked.headers, host: program.host } },
      (got) => {
        answer.writeHead(got.statusCode, got.headers);
        answer.flushHeaders();
        got.pipe(answer);
        // What breaks off there breaks off here.
        got.on('aborted', () => answer.destroy());
      },
    );
    onwards.on('error', () => answer.destroy());
    answer.on('close', () => onwards.destroy());
    asked.pipe(onwards);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    stop: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}
