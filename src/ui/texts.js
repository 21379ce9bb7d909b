/**
 * Every word the page says, in Chinese and English. Nothing else in the page holds words, so that a third language is
 * a third column here.
 */

/** @typedef {'en' | 'zh'} Language */

/** @type {Record<string, { en: string, one?: string, zh: string }>} `one` is English for a single `n` */
const TEXTS = {
  // Buttons and fields.
  skip: { en: 'Skip to the log', zh: '跳到日志' },
  chooseFile: { en: 'File: {file}. Choose another', zh: '文件：{file}，选择其他文件' },
  files: { en: 'Files', zh: '文件' },
  fieldsOf: { en: 'Filter and find in {file}', zh: '在 {file} 中筛选与查找' },
  filter: { en: 'Filter', zh: '筛选' },
  filterHint: {
    en: 'Filter: show only lines with all these terms; -term leaves lines out, /expression/ is a regular expression',
    zh: '筛选：只显示包含所有词的行；-词 表示排除，/表达式/ 为正则表达式',
  },
  clearFilter: { en: 'Clear the filter', zh: '清除筛选' },
  find: { en: 'Find', zh: '查找' },
  findHint: {
    en: 'Find: highlight each of these terms; n and N walk through the hits, Shift+Enter searches the whole file',
    zh: '查找：高亮每个词；n 和 N 在命中间移动，Shift+Enter 搜索整个文件',
  },
  clearFind: { en: 'Clear what is searched for', zh: '清除查找' },
  badExpression: { en: 'No regular expression: {error}. What was there before stays in force.', zh: '正则表达式有误：{error}。此前的内容仍然有效。' },
  wholeFile: { en: 'whole file', zh: '整个文件' },
  allFiles: { en: 'all files', zh: '所有文件' },
  wholeFileHint: { en: 'Search the whole file on the server', zh: '在服务器上搜索整个文件' },
  pause: { en: 'Pause', zh: '暂停' },
  follow: { en: 'Follow', zh: '跟随' },
  more: { en: 'More', zh: '更多' },
  addPane: { en: 'Add a pane', zh: '添加窗格' },
  closePane: { en: 'Close this pane', zh: '关闭此窗格' },
  border: { en: 'Sizes of the panes', zh: '窗格大小' },
  layout: { en: 'Layout', zh: '布局' },
  layoutColumns: { en: 'Side by side', zh: '并排' },
  layoutRows: { en: 'One above the other', zh: '上下排列' },
  layoutMerged: { en: 'Merged into one', zh: '合并为一个' },
  wrap: { en: 'Wrap long lines', zh: '自动换行' },
  wrapOn: { en: 'Long lines are wrapped', zh: '长行已自动换行' },
  wrapOff: { en: 'Long lines are not wrapped', zh: '长行不换行' },
  fold: { en: 'Fold stack traces', zh: '折叠堆栈' },
  ansi: { en: 'Copy and export with colours (ANSI)', zh: '复制和导出时保留颜色（ANSI）' },
  times: { en: 'Times beside lines: {mode}', zh: '行旁时间：{mode}' },
  times_none: { en: 'none', zh: '不显示' },
  times_arrival_local: { en: 'arrival, local', zh: '到达 · 本地' },
  times_arrival_utc: { en: 'arrival, UTC', zh: '到达 · UTC' },
  times_line_local: { en: 'of the line, local', zh: '行内 · 本地' },
  times_line_utc: { en: 'of the line, UTC', zh: '行内 · UTC' },
  searchWhole: { en: 'Search the whole file', zh: '搜索整个文件' },
  copyMarked: { en: 'Copy marked lines', zh: '复制已标记的行' },
  copyLink: { en: 'Copy a link to this view', zh: '复制此视图的链接' },
  linkCopied: { en: 'Link copied', zh: '链接已复制' },
  exportHeldText: { en: 'Export what is held as text', zh: '导出当前行为文本' },
  exportHeldJson: { en: 'Export what is held as JSON', zh: '导出当前行为 JSON' },
  exportFilteredText: { en: 'Export the filtered lines as text', zh: '导出筛选结果为文本' },
  exportFilteredJson: { en: 'Export the filtered lines as JSON', zh: '导出筛选结果为 JSON' },
  exported: { en: '{n} lines exported', one: '{n} line exported', zh: '已导出 {n} 行' },
  download: { en: 'Download the whole file', zh: '下载完整文件' },
  themeAuto: { en: 'Theme: as the system. Switch to light', zh: '主题：跟随系统，切换到浅色' },
  themeLight: { en: 'Theme: light. Switch to dark', zh: '主题：浅色，切换到深色' },
  themeDark: { en: 'Theme: dark. Switch to high contrast', zh: '主题：深色，切换到高对比度' },
  themeContrast: { en: 'Theme: high contrast. Switch to the system’s', zh: '主题：高对比度，切换到跟随系统' },
  otherLanguage: { en: '中文', zh: 'EN' },
  otherLanguageHint: { en: '切换到中文', zh: 'Switch to English' },
  help: { en: 'Keys and settings', zh: '快捷键与设置' },
  close: { en: 'Close', zh: '关闭' },
  cancel: { en: 'Cancel', zh: '取消' },
  retryNow: { en: 'Retry now', zh: '立即重试' },
  logOf: { en: 'Lines of {file}', zh: '{file} 的日志行' },

  // Files.
  viewers: { en: '{n} watching', zh: '{n} 人在看' },
  notThere: { en: 'does not exist', zh: '不存在' },
  noFiles: { en: 'The list of files cannot be loaded.', zh: '无法加载文件列表。' },

  // State.
  connecting: { en: 'Connecting', zh: '正在连接' },
  catching: { en: 'Catching up', zh: '正在追赶' },
  live: { en: 'Live', zh: '实时' },
  paused: { en: 'Paused', zh: '已暂停' },
  following: { en: 'Following', zh: '正在跟随' },
  waiting: { en: 'Reconnecting in {n} s', zh: '{n} 秒后重新连接' },
  looking: { en: 'Looking again in {n} s', zh: '{n} 秒后再次查找' },
  reconnecting: { en: 'Reconnecting', zh: '正在重新连接' },
  stopped: { en: 'Stopped', zh: '已停止' },
  whyForbidden: { en: 'file not allowed', zh: '不允许访问此文件' },
  whyMissing: { en: 'file does not exist', zh: '文件不存在' },
  whyUnreadable: { en: 'file cannot be read', zh: '文件无法读取' },
  whyRemoved: { en: 'file was removed', zh: '文件已被删除' },
  whySlow: { en: 'too slow', zh: '接收过慢' },
  whyCrowded: { en: 'too many connections', zh: '连接过多' },
  whyShutdown: { en: 'server is stopping', zh: '服务器正在停止' },
  whyIdle: { en: 'connection went idle', zh: '连接空闲超时' },
  whyAsleep: { en: 'this device slept', zh: '设备曾休眠' },
  whySilent: { en: 'the link went silent', zh: '连接无响应' },
  whyLost: { en: 'no connection', zh: '连接中断' },
  lastLine: { en: 'last line {ago} ago', zh: '最后一行：{ago}前' },
  ago: { en: '{ago} ago', zh: '{ago}前' },
  count: { en: '{n}', zh: '{n}' },
  counts: { en: '{n} of {total}', zh: '{n} / {total}' },
  pill: { en: 'Paused · {n} new', zh: '已暂停 · {n} 行新日志' },
  pillHint: { en: 'Go to the end and follow', zh: '回到末尾并跟随' },
  stood: { en: 'Where I stood', zh: '回到暂停处' },
  stoodHint: { en: 'Go back to where the log was paused', zh: '回到暂停时所在的行' },

  // Rows between lines.
  truncated: { en: 'Truncated: the new content follows', zh: '文件被截断，以下是新的内容' },
  rotated: { en: 'Rotated: a new file begins', zh: '文件已轮转，以下是新文件' },
  gap: { en: 'Lines are missing here', zh: '此处有日志缺失' },
  backWhole: { en: 'Connection lost for {n} s, reconnected, nothing missed', zh: '连接中断 {n} 秒后恢复，没有遗漏' },
  backLost: { en: 'Reconnected, {n} lines are missing', one: 'Reconnected, {n} line is missing', zh: '已重新连接，缺失 {n} 行' },
  backGap: { en: 'Reconnected, lines are missing here', zh: '已重新连接，此处有日志缺失' },
  gapAction: { en: 'Fetch them', zh: '获取' },
  gapHint: { en: 'Fetch the lines before those that follow', zh: '获取以下各行之前的日志' },
  notAround: { en: 'Its place at this time was not found', zh: '未找到此时刻在该文件中的位置' },
  backThere: { en: 'The file is there again', zh: '文件又出现了' },
  endForbidden: { en: 'The server does not offer this file', zh: '服务器不提供此文件' },
  endMissing: { en: 'The file does not exist', zh: '文件不存在' },
  endUnreadable: { en: 'The server cannot read this file', zh: '服务器无法读取此文件' },
  endRemoved: { en: 'The file was removed', zh: '文件已被删除' },
  loadingOlder: { en: 'Loading older lines …', zh: '正在加载更早的日志……' },
  beginning: { en: 'The log begins here', zh: '日志由此开始' },
  fetchFailed: { en: 'Lines could not be fetched', zh: '无法获取日志行' },

  // In rows.
  showAll: { en: 'show all {size}', zh: '显示全部 {size}' },
  showAllHint: { en: 'This line is shown cut', zh: '此行未完整显示' },
  showLess: { en: 'show less', zh: '收起' },
  folded: { en: '+{n} lines', one: '+{n} line', zh: '+{n} 行' },
  unfolded: { en: '−{n} lines', one: '−{n} line', zh: '−{n} 行' },
  unfoldHint: { en: 'Show the lines that continue this one', zh: '展开后续各行' },
  foldHint: { en: 'Hide the lines that continue this one', zh: '折叠后续各行' },
  treeHint: { en: 'Open or close as a tree of fields', zh: '以字段树展开或收起' },
  treeClose: { en: 'close', zh: '收起' },
  contextHint: { en: 'Show in context: this line among all others', zh: '在全部日志中显示此行' },
  columnAdd: { en: 'Show this field as a column', zh: '将此字段显示为列' },
  columnDrop: { en: 'Show this field as a column no more', zh: '不再将此字段显示为列' },

  // Search.
  results: { en: 'Search in the whole file', zh: '整个文件的搜索结果' },
  hits: { en: '{n} hits', one: '{n} hit', zh: '{n} 条命中' },
  scanned: { en: '{size} searched', zh: '已搜索 {size}' },
  searching: { en: 'searching …', zh: '正在搜索……' },
  searchAll: { en: 'all of it', zh: '已全部搜索' },
  searchPart: { en: 'there may be more', zh: '可能还有更多' },
  searchStopped: { en: 'cancelled', zh: '已取消' },
  searchFailed: { en: 'failed: {reason}', zh: '搜索失败：{reason}' },
  searchOn: { en: 'Search on', zh: '继续搜索' },
  closeResults: { en: 'Close the results', zh: '关闭搜索结果' },

  // Told in passing.
  noHit: { en: 'No further hit', zh: '没有更多命中' },
  noError: { en: 'No further error', zh: '没有更多错误' },
  noWarning: { en: 'No further warning', zh: '没有更多警告' },
  marked: { en: '{n} lines marked', one: '{n} line marked', zh: '已标记 {n} 行' },
  copied: { en: '{n} lines copied', one: '{n} line copied', zh: '已复制 {n} 行' },
  notCopied: { en: 'The browser did not allow copying', zh: '浏览器不允许复制' },
  nothingToCopy: { en: 'Nothing is marked: m marks the line of the cursor', zh: '没有标记：按 m 标记光标所在行' },

  // The empty page.
  emptyConnecting: { en: 'Connecting …', zh: '正在连接……' },
  emptyLive: { en: 'All quiet so far.', zh: '目前一切安静。' },
  emptyLiveMore: { en: 'New lines appear here the moment they are written.', zh: '新的日志一写入就会显示在这里。' },
  emptyMissing: { en: '{file} is not there yet.', zh: '{file} 还不存在。' },
  emptyMissingMore: { en: 'It is looked for every few seconds and shows up by itself.', zh: '每隔几秒查找一次，出现后会自动显示。' },
  emptyForbidden: { en: '{file} is not on the server’s list.', zh: '{file} 不在服务器的列表中。' },
  emptyForbiddenMore: { en: 'Choose one of its files above.', zh: '请在上方选择一个文件。' },
  emptyWaiting: { en: 'The server cannot be reached.', zh: '无法连接到服务器。' },
  emptyWaitingMore: { en: 'The page goes on trying.', zh: '页面会继续尝试。' },
  emptyUnreadable: { en: 'The server cannot read {file}.', zh: '服务器无法读取 {file}。' },
  emptyCrowded: { en: 'The server has too many connections.', zh: '服务器连接过多。' },
  emptyFilter: { en: 'No line passes “{term}”.', zh: '没有符合“{term}”的行。' },
  emptyFilterMore: { en: 'New lines that do appear here.', zh: '新的符合条件的日志会显示在这里。' },

  // Help.
  keysTitle: { en: 'Keys', zh: '快捷键' },
  keyLines: { en: 'Line down, line up', zh: '下一行、上一行' },
  keyTop: { en: 'Top, end', zh: '顶部、末尾' },
  keySpace: { en: 'Pause, or follow', zh: '暂停或跟随' },
  keyFind: { en: 'Search', zh: '查找' },
  keyHits: { en: 'Next hit, previous hit', zh: '下一个、上一个命中' },
  keyErrors: { en: 'Next error, previous error', zh: '下一个、上一个错误' },
  keyWarnings: { en: 'Next warning, previous warning', zh: '下一个、上一个警告' },
  keyFiles: { en: 'Next file, previous file', zh: '下一个、上一个文件' },
  keyMark: { en: 'Mark the line', zh: '标记此行' },
  keyCopy: { en: 'Copy marked lines', zh: '复制已标记的行' },
  keyPanes: { en: 'Previous pane, next pane', zh: '上一个、下一个窗格' },
  keyWrap: { en: 'Wrap long lines', zh: '自动换行' },
  keyTimes: { en: 'Times beside lines', zh: '行旁时间' },
  keyEnter: { en: 'Open or close the line', zh: '展开或收起此行' },
  keyEscape: { en: 'Leave, clear', zh: '离开、清除' },
  keyHelp: { en: 'This help', zh: '显示此帮助' },
  helpNote: {
    en: 'Scrolling up or selecting text pauses too. In both fields, a term in lower case ignores case, "quotes" keep spaces, /slashes/ make a regular expression; in the filter, -term leaves lines out.',
    zh: '向上滚动或选中文字也会暂停。两个输入框中，全小写的词忽略大小写，"引号" 保留空格，/斜杠/ 之间为正则表达式；在筛选中，-词 表示排除。',
  },
  settingsTitle: { en: 'What a pane holds', zh: '每个窗格保留' },
  maxLines: { en: 'Lines', zh: '行数' },
  maxBytes: { en: 'MiB', zh: 'MiB' },
};

/** @type {Language} */
let language = 'en';
/** Made when the first number is said, as that takes longer than all else here. @type {Intl.NumberFormat | null} */
let numbers = null;

/** @param {readonly string[]} preferred as in `navigator.languages` @returns {Language} */
export function languageFor(preferred) {
  const first = preferred.find((tag) => /^(zh|en)\b/i.test(tag));
  return first && /^zh/i.test(first) ? 'zh' : 'en';
}

/** @param {Language} wanted */
export function setLanguage(wanted) {
  language = wanted;
  numbers = null;
}

/** What `<html lang>` has to say. */
export const htmlLanguage = () => (language === 'zh' ? 'zh-CN' : 'en');

/**
 * @param {string} name
 * @param {Record<string, string | number>} [vars] numbers are written as the language groups them
 */
export function t(name, vars = {}) {
  const text = TEXTS[name];
  const words = language === 'en' && vars.n === 1 && text.one ? text.one : text[language];
  return words.replace(/\{(\w+)\}/g, (_, key) => (typeof vars[key] === 'number' ? grouped(vars[key]) : String(vars[key])));
}

/** @param {number} number */
function grouped(number) {
  if (Number.isInteger(number) && Math.abs(number) < 1000) return String(number);
  numbers ??= new Intl.NumberFormat(language);
  return numbers.format(number);
}

/**
 * Says everything in a part of the page that has no words of its own.
 * @param {HTMLElement} part
 */
export function speakIn(part) {
  for (const element of part.querySelectorAll('[data-text], [data-label], [data-placeholder], [data-title]')) {
    const { text, label, placeholder, title } = /** @type {HTMLElement} */ (element).dataset;
    if (text) element.textContent = t(text);
    if (label) element.setAttribute('aria-label', t(label));
    if (label || title) element.setAttribute('title', t(label ?? title ?? ''));
    if (placeholder) element.setAttribute('placeholder', t(placeholder));
  }
}

const SIZES = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** @param {number} bytes */
export function size(bytes) {
  let unit = 0;
  for (; bytes >= 1024 && unit < SIZES.length - 1; unit += 1) bytes /= 1024;
  return `${unit && bytes < 10 ? bytes.toFixed(1) : Math.round(bytes)} ${SIZES[unit]}`;
}

/** @param {number} milliseconds */
export function span(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const zh = language === 'zh';
  if (seconds < 60) return zh ? `${seconds} 秒` : `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} ${zh ? '分钟' : 'min'}`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)} ${zh ? '小时' : 'h'}`;
  return `${Math.floor(seconds / 86_400)} ${zh ? '天' : 'days'}`;
}
