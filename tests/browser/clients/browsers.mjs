// Players that run in a browser page.

import { sleep } from '../harness.mjs';

/** How often a page is looked at, in milliseconds. */
const GLANCE = 50;

function pagePlayer(player) {
  return {
    name: player === 'native' ? 'Chromium' : player,
    tool: 'chromium',
    // Else these tests do not run at all.
    isHere: async () => true,
    async play({ browser, front }, id, { onPicture, patience }) {
      const context = await browser.newContext();
      const page = await context.newPage();
      const errors = [];
      page.on('pageerror', (error) => errors.push(error.message));
      page.on('response', (answer) => {
        if (answer.status() >= 400) errors.push(`${answer.status()} ${new URL(answer.url()).pathname}`);
      });
      const list = `/api/v1/jobs/${id}/index.m3u8`;
      await page.goto(`${front}player.html?${new URLSearchParams({ player, list })}`);
      let told = false;
      for (;;) {
        const seen = await page.evaluate(() => {
          const video = document.querySelector('video');
          const { totalVideoFrames } = video.getVideoPlaybackQuality();
          return { ...window.seen, position: video.currentTime, frames: totalVideoFrames };
        });
        if (seen.picture && !told) {
          told = true;
          await onPicture();
        }
        if (seen.ended || seen.errors.length > 0 || patience.isOver()) {
          await context.close();
          return {
            version: player === 'native' ? browser.version() : seen.version,
            ended: seen.ended,
            position: seen.position,
            frames: seen.frames,
            errors: [...seen.errors, ...errors],
          };
        }
        await sleep(GLANCE);
      }
    },
  };
}

export const browsers = ['hls.js', 'native', 'Shaka', 'video.js'].map(pagePlayer);
