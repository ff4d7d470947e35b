// Plays a job while it is being made.

import Hls from '../vendor/hls.js-1.7.4/hls.light.min.mjs';
import * as api from './api.js';
import { fragmentLoader } from './loader.js';

/** What a start waits for: less is not worth a message. */
const NEGLIGIBLE_SECS = 0.15;
/** How long a server that cannot be reached is left alone, in milliseconds. */
const RETRY_AFTER = 2000;

/**
 * @typedef {'idle' | 'loading' | 'waiting' | 'playing' | 'stalled' | 'ready'} Mode
 *   loading: nothing can be shown yet; waiting: the first picture is there and playing now would stall later;
 *   stalled: playback ran into what is not made; ready: it can be played, and nobody asked for it
 */

export class Player {
  /**
   * @param {HTMLVideoElement} video
   * @param {{
   *   secondsToWait: (position: number) => number | null,
   *   onMode: (mode: Mode, wait: number | null) => void,
   *   onMuted: (muted: boolean) => void,
   *   onError: (code: string) => void,
   * }} hooks
   */
  constructor(video, hooks) {
    this.video = video;
    this.hooks = hooks;
    /** @type {Hls | null} */
    this.hls = null;
    /** @type {Mode} */
    this.mode = 'idle';
    this.wantsToPlay = false;
    this.forced = false;
    /** Nothing more will be made. */
    this.settled = false;
    /** Where what is made ends then, in seconds. */
    this.end = 0;
    /** Whether the list is the one that ends there. */
    this.listEnds = false;
    this.recoveries = 0;
    /** @type {import('./store.js').Job | null} */
    this.job = null;
    /** @type {import('./loader.js').Readiness | null} */
    this.readiness = null;

    video.addEventListener('loadeddata', () => this.reconsider());
    video.addEventListener('playing', () => this.setMode('playing'));
    video.addEventListener('waiting', () => {
      if (video.paused || this.mode !== 'playing') return;
      this.setMode('stalled');
      if (this.settled) this.settle(this.end);
    });
    // What stalled where the clip turns out to end is not being made any more.
    video.addEventListener('ended', () => this.mode === 'stalled' && this.setMode('playing'));
    video.addEventListener('seeking', () => {
      if (this.mode === 'waiting' || this.mode === 'ready') this.reconsider();
    });
    video.addEventListener('play', () => {
      // By the controls or a key: that is a wish to play now.
      this.wantsToPlay = true;
      this.forced = true;
    });
  }

  /**
   * Shows a job. With `autoplay`, playback begins as soon as it goes through without a pause.
   * @param {import('./store.js').Job} job with a clip
   * @param {import('./loader.js').Readiness} readiness
   * @param {boolean} autoplay
   */
  open(job, readiness, autoplay) {
    this.close();
    this.job = job;
    this.readiness = readiness;
    this.wantsToPlay = autoplay;
    this.forced = false;
    this.settled = false;
    this.recoveries = 0;
    // The list of a job that is over ends where it does, and that of an open clip will.
    this.listEnds = job.clip?.open || ['done', 'failed', 'cancelled'].includes(job.state);
    this.setMode('loading');
    this.attach(0);
  }

  close() {
    this.hls?.destroy();
    this.hls = null;
    this.job = null;
    this.video.pause();
    this.video.removeAttribute('src');
    this.video.load();
    this.setMode('idle');
  }

  /**
   * The job ended early: what is there can still be played, and nothing waits for the rest. Whoever was playing goes on
   * to there.
   * @param {number} end seconds that play from the start
   */
  settle(end) {
    this.settled = true;
    this.end = end;
    const isPlaying = this.mode === 'playing' || this.mode === 'stalled';
    if (!isPlaying) this.wantsToPlay = false;
    if (this.mode === 'loading' && end === 0) this.close();
    else if (this.mode === 'waiting' || (this.mode === 'stalled' && end === 0)) {
      this.wantsToPlay = false;
      this.video.pause();
      this.setMode('ready');
    } else if (this.mode === 'loading' || this.mode === 'stalled') this.toEnd();
  }

  /** Goes on with the list that ends where what is made ends. */
  toEnd() {
    if (this.listEnds) return;
    this.listEnds = true;
    const { paused, currentTime } = this.video;
    this.hls?.destroy();
    // A moment before it, so that the browser notices that it ends.
    this.attach(Math.max(0, Math.min(currentTime, this.end - NEGLIGIBLE_SECS)));
    // Playing was allowed before.
    if (!paused) this.play();
  }

  /** Something changed that may allow playback to begin. */
  reconsider() {
    if (!this.job || this.mode === 'playing' || this.mode === 'stalled') return;
    if (this.settled && this.mode !== 'loading') return;
    if (this.video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return;
    if (!this.wantsToPlay) {
      this.setMode('ready');
      return;
    }
    const wait = this.hooks.secondsToWait(this.video.currentTime);
    if (this.forced || (wait !== null && wait < NEGLIGIBLE_SECS)) this.play();
    else this.setMode('waiting', wait);
  }

  /** Plays now, whatever the renderer's speed. */
  playNow() {
    this.wantsToPlay = true;
    this.forced = true;
    this.play();
  }

  async play() {
    const { video } = this;
    try {
      await video.play();
    } catch (error) {
      if (/** @type {DOMException} */ (error).name !== 'NotAllowedError') return;
      // The browser wants a gesture before it lets sound out.
      video.muted = true;
      this.hooks.onMuted(true);
      await video.play().catch(() => this.setMode('ready'));
    }
  }

  /** @param {Mode} mode @param {number | null} [wait] */
  setMode(mode, wait = null) {
    this.mode = mode;
    this.hooks.onMode(mode, wait);
  }

  /** @param {number} position */
  attach(position) {
    const { job, readiness, video } = this;
    if (!job || !readiness) return;
    if (!Hls.isSupported()) {
      // Safari on older iPhones plays lists by itself. It gives up on what takes long, so it gets the list
      // that grows until the other one is complete.
      video.src = job.state === 'done' ? job.links.index : job.links.live;
      return;
    }
    // For Safari's ManagedMediaSource, which is not attached while AirPlay could take over.
    video.disableRemotePlayback = true;
    const hls = new Hls({
      startPosition: position,
      maxBufferLength: 60,
      backBufferLength: 90,
      testBandwidth: false,
      lowLatencyMode: false,
      fLoader: fragmentLoader(Hls.DefaultConfig.loader, readiness),
    });
    this.hls = hls;
    hls.on(Hls.Events.ERROR, (_event, data) => {
      if (data.fatal) this.recover(hls, data);
    });
    hls.loadSource(job.links.index);
    hls.attachMedia(video);
  }

  /** @param {any} hls @param {any} data */
  async recover(hls, data) {
    if (hls !== this.hls || !this.job) return;
    this.recoveries += 1;
    if (this.recoveries > 4) {
      this.fail('playback');
      return;
    }
    if (data.type === Hls.ErrorTypes.MEDIA_ERROR && this.recoveries === 1) {
      hls.recoverMediaError();
      return;
    }
    if (data.type === Hls.ErrorTypes.NETWORK_ERROR) {
      // The job knows better than the connection why something cannot be had.
      const state = await this.stateOf(hls, this.job.id);
      if (hls !== this.hls || state === 'failed' || state === 'cancelled') return;
      if (state === 'gone') {
        this.fail('no_such_job');
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, 500 * 2 ** this.recoveries));
      if (hls !== this.hls) return;
    }
    const { paused, currentTime } = this.video;
    hls.destroy();
    this.attach(currentTime);
    if (!paused) this.playNow();
  }

  /**
   * The state of the job, or `gone`. Of a server that cannot be reached it is waited for: what is loaded plays meanwhile.
   * @param {any} hls who asks @param {string} id
   */
  async stateOf(hls, id) {
    for (;;) {
      try {
        return (await api.job(id)).state;
      } catch (error) {
        const { status } = /** @type {api.ApiError} */ (error);
        if (status !== 0 || hls !== this.hls) return status === 404 ? 'gone' : 'unknown';
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_AFTER));
    }
  }

  /** Gives up. @param {string} code */
  fail(code) {
    this.hls?.destroy();
    this.hls = null;
    this.wantsToPlay = false;
    this.video.pause();
    this.setMode('idle');
    this.hooks.onError(code);
  }
}
