import assert from 'node:assert/strict';
import test from 'node:test';
import { findLevel } from '../../src/ui/levels.js';

const level = (text) => findLevel(text)?.level ?? null;

test('levels as programs write them', () => {
  const cases = {
    '2026-11-24 02:07:22,113 - ERROR - upload failed': 'error',
    '2026-11-24T02:07:22Z  WARN app: slow': 'warn',
    '[INFO] started': 'info',
    'FATAL out of memory': 'error',
    '12:00:01 CRITICAL: disk': 'error',
    'DEBUG:root:x': 'debug',
    '<trace> in': 'trace',
    '[error] 31#31: *1 open() failed': 'error',
    'time=2026-11-24 level=warning msg=x': 'warn',
    '{"level":"error","msg":"x"}': 'error',
    '{"severity": "INFO"}': 'info',
    'error: cannot open': 'error',
    'Warning: deprecated': 'warn',
    '2026-11-24 02:07:22 info started': 'info',
    '2026/11/24 02:07:22 [notice] 1#1: start': 'info',
    '【严重】磁盘已满': 'error',
    '2026-11-24 错误: 无法连接': 'error',
    '[警告] 温度过高': 'warn',
    '2026-11-24 02:07:22 信息 已启动': 'info',
    '调试：进入': 'debug',
    '[异常] 上传失败': 'error',
    '【告警】磁盘将满': 'warn',
    '2026-11-24 提示 已连接': 'info',
    '2026-11-24 WRN slow': 'warn',
    '12:00:01 DBG in': 'debug',
    '{"level":50,"time":1795485600123,"msg":"x"}': 'error',
    '{"level":30,"msg":"x"}': 'info',
    '{"level":10,"msg":"x"}': 'trace',
  };
  for (const [text, wanted] of Object.entries(cases)) assert.equal(level(text), wanted, text);
});

test('words that are no levels', () => {
  for (const text of [
    'the error was found in the middle',
    'ValueError: x',
    'java.lang.Error',
    'INFORMATION desk',
    'MY_ERROR_CODE=1',
    'no-ERROR-here',
    '无错误发生',
    '检测信息已更新',
    '',
  ]) {
    assert.equal(level(text), null, text);
  }
});

test('the first level counts, and only near the beginning', () => {
  assert.equal(level('INFO request failed: ERROR 500'), 'info');
  assert.equal(level(`${'x '.repeat(100)}ERROR`), null);
});

test('the place of the word', () => {
  assert.deepEqual(findLevel('a [warn] b'), { level: 'warn', from: 3, to: 7 });
});
