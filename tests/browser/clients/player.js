// One player, named by the address: ?player=hls.js&list=/api/v1/jobs/ID/index.m3u8

const query = new URLSearchParams(location.search);
const list = query.get('list');
const video = document.querySelector('video');
const seen = { version: '', ended: false, errors: [] };
window.seen = seen;

video.addEventListener('loadeddata', () => (seen.picture = true), { once: true });
video.addEventListener('ended', () => (seen.ended = true));
video.addEventListener('error', () => seen.errors.push(`video: ${video.error?.message || video.error?.code}`));

function script(src) {
  return new Promise((resolve, reject) => {
    const element = document.createElement('script');
    element.src = src;
    element.onload = resolve;
    element.onerror = () => reject(new Error(`${src} cannot be loaded`));
    document.head.append(element);
  });
}

const players = {
  async 'hls.js'() {
    const { default: Hls } = await import('/hls.mjs');
    seen.version = Hls.version;
    const hls = new Hls();
    hls.on(Hls.Events.ERROR, (_event, data) => {
      if (data.fatal) seen.errors.push(`${data.type}: ${data.details}`);
    });
    hls.loadSource(list);
    hls.attachMedia(video);
  },

  async native() {
    if (video.canPlayType('application/vnd.apple.mpegurl') === '') throw new Error('this browser plays no HLS by itself');
    video.src = list;
  },

  async Shaka() {
    await script('/shaka.js');
    const { shaka } = window;
    seen.version = shaka.Player.version;
    shaka.polyfill.installAll();
    const player = new shaka.Player();
    await player.attach(video);
    player.addEventListener('error', ({ detail }) => {
      if (detail.severity === shaka.util.Error.Severity.CRITICAL) seen.errors.push(`Shaka error ${detail.code}`);
    });
    await player.load(list);
  },

  async 'video.js'() {
    await script('/video.js');
    const { videojs } = window;
    seen.version = videojs.VERSION;
    // Its own engine, also where the browser plays HLS by itself.
    const player = videojs(video, { html5: { vhs: { overrideNative: true }, nativeAudioTracks: false, nativeVideoTracks: false } });
    player.on('error', () => seen.errors.push(`video.js: ${player.error()?.message}`));
    player.src({ src: list, type: 'application/vnd.apple.mpegurl' });
    await new Promise((resolve) => player.ready(resolve));
  },
};

try {
  await players[query.get('player')]();
  await video.play();
} catch (error) {
  seen.errors.push(String(error));
}
