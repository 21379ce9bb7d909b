import assert from 'node:assert/strict';
import test from 'node:test';
import { MAX_PANES, readView, rowsFor, writeView } from '../../src/ui/view.js';

test('an address and back', () => {
  const query = 'file=a.log&filter=error+-x&find=%2Fa%26b%2F&file=%E6%97%A5.log&column=msg&column=a.b&layout=rows&sizes=2%2C1';
  const view = readView(`?${query}`);
  assert.deepEqual(view, {
    panes: [
      { file: 'a.log', filter: 'error -x', find: '/a&b/', columns: [] },
      { file: '日.log', filter: '', find: '', columns: ['msg', 'a.b'] },
    ],
    layout: 'rows',
    sizes: [2, 1],
  });
  assert.equal(writeView(view), query);
});

test('only what differs from the usual is written', () => {
  assert.equal(writeView(readView('?file=a.log')), 'file=a.log');
  assert.equal(writeView(readView('?file=a&file=b')), 'file=a&file=b');
});

test('what makes no sense is left out', () => {
  assert.deepEqual(readView('?filter=x&layout=odd&sizes=1,b,-2&file=').panes, []);
  assert.equal(readView('?layout=odd').layout, 'columns');
  assert.deepEqual(readView('?file=a&file=b&sizes=1,x').sizes, [1, 1]);
  assert.equal(readView(`?${'file=a&'.repeat(100)}`).panes.length, MAX_PANES);
});

test('many panes may have sizes of rows behind their own', () => {
  const files = 'abcdef'.split('').map((name) => `file=${name}`).join('&');
  assert.equal(rowsFor(4), 1);
  assert.equal(rowsFor(6), 2);
  for (const sizes of ['1%2C2%2C1%2C1%2C1%2C1', '1%2C1%2C1%2C1%2C1%2C1%2C3%2C1', '2%2C1%2C1%2C1%2C1%2C1%2C3%2C1']) {
    assert.equal(writeView(readView(`?${files}&sizes=${sizes}`)), `${files}&sizes=${sizes}`);
  }
  assert.equal(writeView(readView(`?${files}&sizes=2,1,1,1,1,1,3`)), files);
});
