// Fragment loader for hls.js that asks for a segment only when the server has it.
//
// The server would hold the request open, which is right for other players; a browser allows six
// connections per host, and tabs that each hold one would starve the fourth.

/**
 * Which segments exist, and who waits for one.
 */
export class Readiness {
  constructor() {
    /** @type {Set<number>} */
    this.ready = new Set();
    /** @type {Map<number, Set<() => void>>} */
    this.waiting = new Map();
    /** Called with a segment that somebody waits for. */
    this.onWant = (/** @type {number} */ _segment) => {};
  }

  /** @param {number} segment */
  has(segment) {
    return this.ready.has(segment);
  }

  /** @param {number} segment */
  add(segment) {
    this.ready.add(segment);
    const callbacks = this.waiting.get(segment);
    this.waiting.delete(segment);
    for (const callback of callbacks ?? []) callback();
  }

  /** @param {[number, number][]} ranges */
  addRanges(ranges) {
    for (const [start, end] of ranges) {
      for (let segment = start; segment < end; segment += 1) {
        if (!this.ready.has(segment)) this.add(segment);
      }
    }
  }

  /** Calls back when `segment` exists; the result takes that back.
   * @param {number} segment @param {() => void} callback */
  when(segment, callback) {
    const callbacks = this.waiting.get(segment) ?? new Set();
    callbacks.add(callback);
    this.waiting.set(segment, callbacks);
    this.onWant(segment);
    return () => callbacks.delete(callback);
  }
}

/**
 * @param {any} Base hls.js's own loader
 * @param {Readiness} readiness
 */
export function fragmentLoader(Base, readiness) {
  return class extends Base {
    /** @param {any} context @param {any} config @param {any} callbacks */
    load(context, config, callbacks) {
      const segment = context.frag.sn;
      if (typeof segment !== 'number' || readiness.has(segment)) {
        super.load(context, config, callbacks);
        return;
      }
      // `stats.loading.start` stays unset: a wait is no slow network.
      this.stopWaiting = readiness.when(segment, () => super.load(context, config, callbacks));
    }

    abort() {
      this.stopWaiting?.();
      super.abort();
    }

    destroy() {
      this.stopWaiting?.();
      super.destroy();
    }
  };
}
