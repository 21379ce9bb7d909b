/**
 * A line that is a JSON object, read: its fields, and how they are shown as a tree or as columns. Pure.
 */

/** A longer line is not read: nobody reads its tree either. */
const MAX_LENGTH = 256 * 1024;

/**
 * @param {string} text what is seen of the line
 * @returns {Record<string, unknown> | null} null where it is no object
 */
export function parseObject(text) {
  if (!mayBeObject(text) || text.length > MAX_LENGTH) return null;
  try {
    const value = JSON.parse(text);
    return value !== null && typeof value === 'object' && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}

/**
 * Whether a line looks like one; cheap, as it is asked of every row.
 * @param {string} text
 */
export const mayBeObject = (text) => /^\s*\{\s*"/.test(text) && /\}\s*$/.test(text);

/**
 * @typedef {{ depth: number, key: string, value: string, kind: 'string' | 'number' | 'word' | 'open', path: string[],
 *   count: number }} TreeLine
 *   one line of a tree: `open` begins the fields of an object or a list, of which there are `count`
 */

/** A tree is shown up to so many lines. */
export const MAX_TREE = 500;

/**
 * @param {unknown} value
 * @returns {TreeLine[]}
 */
export function treeOf(value) {
  /** @type {TreeLine[]} */
  const lines = [];
  visit(value, 0, [], lines);
  return lines;
}

/**
 * @param {unknown} value
 * @param {number} depth
 * @param {string[]} path
 * @param {TreeLine[]} lines
 */
function visit(value, depth, path, lines) {
  const entries = Array.isArray(value)
    ? value.map((item, at) => /** @type {[string, unknown]} */ ([String(at), item]))
    : Object.entries(/** @type {object} */ (value));
  for (const [key, item] of entries) {
    if (lines.length >= MAX_TREE) return;
    const here = [...path, key];
    if (item !== null && typeof item === 'object') {
      const count = Object.keys(item).length;
      lines.push({ depth, key, value: Array.isArray(item) ? '[ ]' : '{ }', kind: 'open', path: here, count });
      if (depth < 20) visit(item, depth + 1, here, lines);
    } else {
      const kind = typeof item === 'string' ? 'string' : typeof item === 'number' ? 'number' : 'word';
      lines.push({ depth, key, value: String(item), kind, path: here, count: 0 });
    }
  }
}

/**
 * The value of a field for a column; `a.b` is `b` in `a`, unless there is a field of just that name.
 * @param {Record<string, unknown>} object
 * @param {string} name
 */
export function fieldOf(object, name) {
  /** @type {unknown} */
  let value = own(object, name);
  if (value === undefined) {
    value = object;
    for (const key of name.split('.')) value = own(value, key);
  }
  if (value === undefined) return '';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** @param {unknown} value @param {string} key */
function own(value, key) {
  if (value === null || typeof value !== 'object' || !Object.hasOwn(value, key)) return undefined;
  return /** @type {Record<string, unknown>} */ (value)[key];
}
