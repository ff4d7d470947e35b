// Plays one stream while it is being made.

import Hls from './hls.mjs';
import { Readiness, fragmentLoader } from './loader.js';

const WORDS = {
  en: { idle: 'Nothing is playing yet', waiting: 'Waiting for the first picture', live: 'generating', sound: 'Tap for sound', gone: 'This stream is not here any more', empty: 'The stream ended before its first picture', trouble: 'This stream cannot be played' },
  zh: { idle: '还没有可播放的内容', waiting: '正在等待第一帧画面', live: '生成中', sound: '点按开启声音', gone: '该视频流已不存在', empty: '视频流在第一帧画面之前结束', trouble: '无法播放该视频流' },
};
const words = navigator.language.toLowerCase().startsWith('zh') ? WORDS.zh : WORDS.en;
document.documentElement.lang = words === WORDS.zh ? 'zh' : 'en';

const query = new URLSearchParams(location.search);
const name = query.get('stream');
const [video, note, badge, sound] = ['video', 'note', 'badge', 'sound'].map((id) => document.getElementById(id));
badge.textContent = words.live;
sound.textContent = words.sound;

const say = (text) => {
  note.textContent = text;
};

async function play() {
  try {
    await video.play();
  } catch (error) {
    if (error.name !== 'NotAllowedError') return;
    // The browser wants a gesture before it lets sound out.
    video.muted = true;
    sound.hidden = false;
    await video.play().catch(() => {});
  }
}

sound.addEventListener('click', () => {
  video.muted = false;
  sound.hidden = true;
});

function open(address) {
  say(words.waiting);
  video.hidden = false;
  const autoplay = query.get('autoplay') === '1';
  video.addEventListener('loadeddata', () => {
    say('');
    if (autoplay) play();
  }, { once: true });

  const readiness = new Readiness();
  /** @type {Hls | null} */
  let attached = null;
  let recoveries = 0;
  const attach = (/** @type {number} */ position) => {
    const hls = new Hls({
      startPosition: position,
      maxBufferLength: 60,
      backBufferLength: 90,
      testBandwidth: false,
      lowLatencyMode: false,
      fLoader: fragmentLoader(Hls.DefaultConfig.loader, readiness),
    });
    attached = hls;
    hls.on(Hls.Events.ERROR, (_event, data) => {
      if (!data.fatal || hls !== attached) return;
      recoveries += 1;
      if (recoveries > 4) {
        hls.destroy();
        say(words.trouble);
      } else if (data.type === Hls.ErrorTypes.MEDIA_ERROR && recoveries === 1) {
        hls.recoverMediaError();
      } else {
        setTimeout(() => {
          if (hls !== attached) return;
          hls.destroy();
          attach(video.currentTime);
        }, 500 * 2 ** recoveries);
      }
    });
    hls.loadSource(`${address}/index.m3u8`);
    hls.attachMedia(video);
  };

  const events = new EventSource(`${address}/events`);
  events.addEventListener('state', (event) => {
    const state = JSON.parse(event.data);
    badge.hidden = state.end !== null;
    readiness.addRanges([[0, state.segments]]);
    // An empty list that grows costs a player seconds until it looks again.
    if (!attached && Hls.isSupported() && (state.total !== null || state.segments > 0)) attach(0);
    if (state.end !== null && state.segments === 0) {
      say(words.empty);
      video.hidden = true;
    }
    if (attached && state.end !== null && state.end !== 'finished' && state.segments > 0) {
      // Its list is shorter now: what followed never comes.
      const resume = !video.paused;
      const position = video.currentTime;
      attached.destroy();
      attach(position);
      if (resume) play();
    }
  });
  events.addEventListener('over', () => events.close());
  events.addEventListener('error', () => {
    if (events.readyState === EventSource.CLOSED) {
      badge.hidden = true;
      if (video.readyState === 0) say(words.gone);
    }
  });

  if (!Hls.isSupported()) {
    // Safari on older iPhones plays lists by itself, and gives up on what takes long.
    video.src = `${address}/live.m3u8`;
    return;
  }
  // For Safari's ManagedMediaSource, which is not attached while AirPlay could take over.
  video.disableRemotePlayback = true;
}

if (name) open(`../s/${name}`);
else say(query.get('poster') || words.idle);
