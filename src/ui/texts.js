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
  filter: { en: 'Filter', zh: '筛选' },
  filterHint: { en: 'Filter lines', zh: '筛选日志行' },
  clearFilter: { en: 'Clear the filter', zh: '清除筛选' },
  pause: { en: 'Pause', zh: '暂停' },
  follow: { en: 'Follow', zh: '跟随' },
  download: { en: 'Download the whole file', zh: '下载完整文件' },
  themeAuto: { en: 'Theme: as the system. Switch to light', zh: '主题：跟随系统，切换到浅色' },
  themeLight: { en: 'Theme: light. Switch to dark', zh: '主题：浅色，切换到深色' },
  themeDark: { en: 'Theme: dark. Switch to the system’s', zh: '主题：深色，切换到跟随系统' },
  otherLanguage: { en: '中文', zh: 'EN' },
  otherLanguageHint: { en: '切换到中文', zh: 'Switch to English' },
  help: { en: 'Keys and help', zh: '快捷键与帮助' },
  close: { en: 'Close', zh: '关闭' },
  retryNow: { en: 'Retry now', zh: '立即重试' },
  logOf: { en: 'Lines of {file}', zh: '{file} 的日志行' },

  // Files.
  viewers: { en: '{n} watching', zh: '{n} 人在看' },
  notThere: { en: 'does not exist', zh: '不存在' },
  noFiles: { en: 'The list of files cannot be loaded.', zh: '无法加载文件列表。' },

  // State.
  connecting: { en: 'Connecting', zh: '正在连接' },
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
  whyLost: { en: 'no connection', zh: '连接中断' },
  lastLine: { en: 'last line {ago} ago', zh: '最后一行：{ago}前' },
  held: { en: '{n} lines', one: '{n} line', zh: '{n} 行' },
  counts: { en: '{n} of {total}', zh: '{n} / {total}' },
  pill: { en: 'Paused · {n} new', zh: '已暂停 · {n} 行新日志' },
  pillHint: { en: 'Go to the end and follow', zh: '回到末尾并跟随' },

  // Rows between lines.
  cut: { en: '… {n} more characters', one: '… {n} more character', zh: '…… 还有 {n} 个字符' },
  trimmed: { en: 'Older lines are in the file only', zh: '更早的行只在文件中' },
  truncated: { en: 'Truncated: the new content follows', zh: '文件被截断，以下是新的内容' },
  back: { en: 'Connection lost, back after {n} s', zh: '连接中断，{n} 秒后恢复' },
  backAgain: {
    en: 'Lines may be missing; the last ones come again',
    zh: '期间的日志可能缺失，最后的行会重复出现',
  },
  backThere: { en: 'The file is there again', zh: '文件又出现了' },
  endForbidden: { en: 'The server does not offer this file', zh: '服务器不提供此文件' },
  endMissing: { en: 'The file does not exist', zh: '文件不存在' },
  endUnreadable: { en: 'The server cannot read this file', zh: '服务器无法读取此文件' },
  endRemoved: { en: 'The file was removed', zh: '文件已被删除' },
  endSlow: { en: 'The page was too slow, lines were lost', zh: '页面接收过慢，部分日志已丢失' },
  endCrowded: { en: 'The server has too many connections', zh: '服务器连接过多' },

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
  emptyFilter: { en: 'No line contains “{term}”.', zh: '没有包含“{term}”的行。' },
  emptyFilterMore: { en: 'Esc clears the filter.', zh: '按 Esc 清除筛选。' },

  // Help.
  keysTitle: { en: 'Keys', zh: '快捷键' },
  keySpace: { en: 'Pause, or go to the end and follow', zh: '暂停，或回到末尾并跟随' },
  keyTop: { en: 'Oldest line held, and end', zh: '最早的行、末尾' },
  keyLines: { en: 'Line down, and up', zh: '下一行、上一行' },
  keyFiles: { en: 'Next file, and previous', zh: '下一个文件、上一个文件' },
  keyFilter: { en: 'Filter; capitals make case count', zh: '筛选；含大写字母时区分大小写' },
  keyEscape: { en: 'Clear the filter', zh: '清除筛选' },
  keyHelp: { en: 'This help', zh: '显示此帮助' },
  helpNote: {
    en: 'Scrolling up or selecting text pauses too. The page holds the last {lines} lines. Colours in them are shown, all other control sequences are removed.',
    zh: '向上滚动或选中文字也会暂停。页面保留最近 {lines} 行；其中的颜色会显示，其他控制序列一律去除。',
  },
};

/** @type {Language} */
let language = 'en';
let numbers = new Intl.NumberFormat('en');

/** @param {readonly string[]} preferred as in `navigator.languages` @returns {Language} */
export function languageFor(preferred) {
  const first = preferred.find((tag) => /^(zh|en)\b/i.test(tag));
  return first && /^zh/i.test(first) ? 'zh' : 'en';
}

/** @param {Language} wanted */
export function setLanguage(wanted) {
  language = wanted;
  numbers = new Intl.NumberFormat(wanted);
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
  return words.replace(/\{(\w+)\}/g, (_, key) =>
    typeof vars[key] === 'number' ? numbers.format(vars[key]) : String(vars[key]),
  );
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
