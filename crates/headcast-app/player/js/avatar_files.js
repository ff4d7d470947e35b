// Which files of a training run an avatar is made of, told by the names that upstream gives them. A subject's folder has
// ten thousand pictures that nobody needs here; they are never opened.

/**
 * A file that was dropped or chosen, opened only when it is needed.
 * @typedef {{path: string, open: () => Promise<File>}} Found
 * One that is sent, under upstream's name.
 * @typedef {{name: string, path: string, file: File}} Picked
 */

/** More entries than any subject has; a whole disk is not read. */
const MOST_ENTRIES = 300_000;

const SINGLE = [
  'transforms_train.json', 'transforms_val.json', 'data_kf.json', 'au.csv',
  'TorsoNeRFTest_config.txt', 'TorsoNeRF_config.txt', 'HeadNeRF_config.txt',
];

/** Everything that was dropped, folders with what is in them. Must be called while the event lasts.
 * @param {DataTransfer} transfer @returns {Promise<Found[]>} */
export async function dropped(transfer) {
  const items = [...transfer.items].filter((item) => item.kind === 'file');
  const all = items.map((item) => ({ entry: item.webkitGetAsEntry(), file: item.getAsFile() }));
  /** @type {Found[]} */
  const found = [];
  for (const { entry, file } of all) {
    if (entry) await walk(entry, '', found);
    else if (file) found.push({ path: file.name, open: async () => file });
  }
  return found;
}

/** @param {any} entry @param {string} folder @param {Found[]} found */
async function walk(entry, folder, found) {
  if (found.length >= MOST_ENTRIES) return;
  const path = folder + entry.name;
  if (entry.isFile) {
    found.push({ path, open: () => new Promise((resolve, reject) => entry.file(resolve, reject)) });
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    /** @type {any[]} */
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return;
    for (const inner of some) await walk(inner, `${path}/`, found);
  }
}

/** @param {FileList} list @returns {Found[]} */
export const chosen = (list) => [...list].map((file) => ({ path: file.webkitRelativePath || file.name, open: async () => file }));

/** Whether a drop is meant for an avatar and not a recording. @param {DataTransfer} transfer */
export function looksLikeAvatar(transfer) {
  const entries = [...transfer.items].map((item) => (item.kind === 'file' ? item.webkitGetAsEntry() : null));
  return entries.some((entry) => entry && (entry.isDirectory || /\.(pth|pt|ckpt|tar)$/i.test(entry.name) || SINGLE.includes(entry.name)));
}

/**
 * What the import takes of them: the checkpoint that upstream's test would load, the files around it, and for each frame
 * what may be asked for later.
 *
 * @param {Found[]} found
 */
export function pick(found) {
  /** The best one of each kind. @type {Map<string, {name: string, rank: number, found: Found}>} */
  const files = new Map();
  /** @type {{torso: Map<number, Found>, landmarks: Map<number, Found>}} */
  const frames = { torso: new Map(), landmarks: new Map() };
  for (const one of found) {
    const parts = one.path.split('/');
    const [name, parent] = [parts.at(-1) ?? '', parts.at(-2) ?? ''];
    const number = Number(/^(\d{1,7})\.(?:png|lms)$/.exec(name)?.[1] ?? NaN);
    if (parent === 'torso_imgs' && name.endsWith('.png') && number >= 0) frames.torso.set(number, one);
    else if (parent === 'ori_imgs' && name.endsWith('.lms') && number >= 0) frames.landmarks.set(number, one);
    else {
      const known = kindOf(name, parts);
      const there = known && files.get(known.kind);
      if (known && (!there || known.rank > there.rank)) files.set(known.kind, { name: known.name, rank: known.rank, found: one });
    }
  }
  return { files, frames };
}

/** @param {string} name @param {string[]} parts of its path @returns {{kind: string, name: string, rank: number} | null} */
function kindOf(name, parts) {
  if (SINGLE.includes(name)) return { kind: name, name, rank: -parts.length };
  if (/^bc\.(jpg|jpeg|png)$/.test(name)) return { kind: 'background', name, rank: 1 - parts.length / 100 };
  // The run that trained the torso has the head in it.
  const torso = parts.some((part) => part.includes('torso')) ? 1e12 : 0;
  const epoch = /^ngp_ep(\d{1,9})\.pth$/.exec(name);
  if (epoch) return { kind: 'checkpoint', name, rank: torso + 1e11 + Number(epoch[1]) };
  if (name === 'ngp.pth' || name === 'ngp_kf.pth') return { kind: 'checkpoint', name, rank: torso + 1e10 };
  const half = /^(\d{1,9})_(head|body)\.tar$/.exec(name);
  if (half) return { kind: half[2] === 'head' ? 'checkpoint' : 'body', name, rank: Number(half[1]) };
  // By itself, any name will do; in a subject's folder other people's networks lie about.
  if (parts.length > 1) return null;
  if (/\.(pth|pt|ckpt|tar)$/i.test(name)) return { kind: 'checkpoint', name: 'ngp.pth', rank: -1 };
  const picture = /\.(jpe?g|png)$/i.exec(name);
  return picture && { kind: 'background', name: `bc.${picture[1].toLowerCase()}`, rank: -1 };
}

/** A name for the avatar, from that of its folder: `trial_may_torso` and `data/may` are both may. @param {string[]} paths */
export function nameFrom(paths) {
  // The innermost folders are the person's; those around them may be called anything.
  const folders = paths.flatMap((path) => path.split('/').slice(0, -1).reverse());
  const plain = ['checkpoints', 'pretrained', 'data', 'dataset', 'logs', ''];
  const names = folders.map((folder) => folder.replace(/^trial_/, '').replace(/_(torso|com|head)$/, '').replace(/[^\w-]+/g, '-'));
  return (names.find((name) => !plain.includes(name)) ?? '').replace(/^[-_]+/, '').slice(0, 64);
}
