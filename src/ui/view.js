/**
 * What the page shows, as the query of its address: files, layout, filters. A link shares the view, and the browser's
 * own history and bookmarks keep it.
 *
 * `?file=a.log&filter=error&file=b.log&layout=rows`: each `file` begins a pane, and what follows belongs to it.
 */

/**
 * @typedef {{ file: string, filter: string, find: string, columns: string[] }} PaneView
 * @typedef {'columns' | 'rows' | 'merged'} LayoutName
 * @typedef {{ panes: PaneView[], layout: LayoutName, sizes: number[] }} View `sizes` has one for each pane, and may have
 *   one for each row behind them
 */

/** So many panes are opened at most. */
export const MAX_PANES = 24;

/** More panes than these stand in rows of so many at most. */
const IN_A_ROW = 4;

/** @param {number} count of panes */
export const rowsFor = (count) => Math.max(1, Math.ceil(count / IN_A_ROW));

/** @param {readonly number[]} sizes */
const differ = (sizes) => sizes.some((size) => size !== sizes[0]);

/** @param {string} file @returns {PaneView} */
export const paneOf = (file) => ({ file, filter: '', find: '', columns: [] });

/**
 * @param {string} query
 * @returns {View}
 */
export function readView(query) {
  /** @type {View} */
  const view = { panes: [], layout: 'columns', sizes: [] };
  for (const [name, value] of new URLSearchParams(query)) {
    const pane = view.panes.at(-1);
    if (name === 'file') {
      if (value && view.panes.length < MAX_PANES) view.panes.push(paneOf(value));
    } else if (name === 'layout') {
      if (value === 'rows' || value === 'merged') view.layout = value;
    } else if (name === 'sizes') {
      view.sizes = value.split(',').map(Number).filter((size) => size > 0 && size < 1e6);
    } else if (pane && name === 'filter') {
      pane.filter = value;
    } else if (pane && name === 'find') {
      pane.find = value;
    } else if (pane && name === 'column') {
      pane.columns.push(value);
    }
  }
  const { length } = view.panes;
  if (![length, length + rowsFor(length)].includes(view.sizes.length)) view.sizes = view.panes.map(() => 1);
  return view;
}

/**
 * @param {View} view
 * @returns {string} without the question mark
 */
export function writeView({ panes, layout, sizes }) {
  const query = new URLSearchParams();
  for (const { file, filter, find, columns } of panes) {
    query.append('file', file);
    if (filter) query.append('filter', filter);
    if (find) query.append('find', find);
    for (const column of columns) query.append('column', column);
  }
  if (layout !== 'columns' && panes.length > 1) query.append('layout', layout);
  if (panes.length > 1 && (differ(sizes.slice(0, panes.length)) || differ(sizes.slice(panes.length)))) {
    query.append('sizes', sizes.map((size) => Math.round(size * 1000) / 1000).join(','));
  }
  return query.toString();
}
