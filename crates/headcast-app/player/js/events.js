// One WebSocket for the tab: what happens to the job that it shows.

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

  const send = (/** @type {unknown} */ message) => {
    if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
  };

  function open() {
    socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/api/v1/events`);
    socket.onopen = () => {
      failures = 0;
      onConnection(true);
      if (job) send({ subscribe: job, after });
    };
    socket.onmessage = (event) => {
      const message = JSON.parse(event.data);
      // Said by a subscription that was replaced meanwhile.
      const about = message.type === 'state' ? message.job.id : message.job;
      if (about !== job && message.type !== 'error') return;
      if (typeof message.seq === 'number') after = Math.max(after, message.seq);
      onMessage(message);
    };
    socket.onclose = () => {
      failures += 1;
      onConnection(false);
      setTimeout(open, Math.min(8000, 250 * 2 ** failures));
    };
  }
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
