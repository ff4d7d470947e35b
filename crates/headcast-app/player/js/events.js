// One WebSocket for the tab: what happens to the job that it shows.

/** The server says something every 15 seconds: a line that is silent for longer is in doubt, and then lost. A computer that
 * slept is told of no end of it. In milliseconds. */
const [QUIET, DEAD] = [20_000, 40_000];
/** How often that is looked at, in milliseconds. */
const LOOK_EVERY = 5000;

/**
 * @param {(message: any) => void} onMessage
 * @param {(open: boolean) => void} onConnection
 */
export function connect(onMessage, onConnection) {
  /** @type {WebSocket | null} */
  let socket = null;
  /** @type {string | null} */
  let job = null;
  let after = 0;
  let failures = 0;
  /** When something was heard last, by the clock on the wall: others stand still while the computer sleeps. */
  let heard = Date.now();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let pause;

  const send = (/** @type {unknown} */ message) => {
    if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
  };

  function open() {
    clearTimeout(pause);
    heard = Date.now();
    socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/api/v1/events`);
    socket.onopen = () => {
      failures = 0;
      heard = Date.now();
      onConnection(true);
      if (job) send({ subscribe: job, after });
    };
    socket.onmessage = (event) => {
      heard = Date.now();
      const message = JSON.parse(event.data);
      if (message.type === 'heartbeat') return;
      // Said by a subscription that was replaced meanwhile.
      const about = message.type === 'state' ? message.job.id : message.job;
      if (about !== job && message.type !== 'error') return;
      if (typeof message.seq === 'number') after = Math.max(after, message.seq);
      onMessage(message);
    };
    socket.onclose = () => {
      socket = null;
      failures += 1;
      onConnection(false);
      pause = setTimeout(open, Math.min(8000, 250 * 2 ** failures));
    };
  }

  /** Lets go of a line on which nothing was heard for so long, and takes another one. @param {number} millis */
  function renew(millis) {
    if (socket && Math.abs(Date.now() - heard) < millis) return;
    if (socket) {
      // Its end may take minutes to be told, and would be that of the new one then.
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
      onConnection(false);
    }
    open();
  }
  setInterval(() => socket && renew(DEAD), LOOK_EVERY);
  addEventListener('online', () => renew(QUIET));
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'visible') renew(QUIET);
  });
  open();

  return {
    /** Follows a job from its first event on, or none. @param {string | null} id */
    follow(id) {
      job = id;
      after = 0;
      send({ subscribe: id, after: 0 });
    },
    /** Asks for a segment to be made next. @param {number} segment */
    want(segment) {
      send({ want: segment });
    },
  };
}
