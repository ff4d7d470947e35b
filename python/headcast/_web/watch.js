// The page of one stream: its player and its log.

const [, name] = location.pathname.match(/\/s\/([A-Za-z0-9_-]{22})\/$/);
for (const part of ['player', 'log']) {
  document.getElementById(part).src = `../../w/${part}.html?stream=${name}&autoplay=1`;
}
