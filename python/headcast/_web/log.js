// The log of one stream, while it grows.

const name = new URLSearchParams(location.search).get('stream');
const lines = document.querySelector('#lines');
/** More than anyone scrolls through. */
const KEPT = 2000;

/** @param {{at: number, level: string, text: string}} line */
function add(line) {
  const { scrollHeight, scrollTop, clientHeight } = document.scrollingElement;
  const atEnd = scrollHeight - scrollTop - clientHeight < 24;
  const row = document.createElement('div');
  row.className = `line ${line.level}`;
  const time = document.createElement('time');
  time.textContent = new Date(line.at * 1000).toLocaleTimeString();
  row.append(time, line.text);
  lines.append(row);
  if (lines.childElementCount > KEPT) lines.firstElementChild.remove();
  // Whoever scrolled up is reading.
  if (atEnd) row.scrollIntoView({ block: 'end' });
}

if (name) {
  const events = new EventSource(`../s/${name}/events`);
  events.addEventListener('log', (event) => add(JSON.parse(event.data)));
  events.addEventListener('over', () => events.close());
}
