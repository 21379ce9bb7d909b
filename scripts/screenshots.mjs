// Takes the pictures of the README from the example logs: three panes in the dark theme, one in the light theme with a
// filter, and a telephone.

import { startBrowser, startServer, sleep } from './browser.mjs';

const [binary, folder] = process.argv.slice(2);
const THREE = '?file=ds_update.log&file=download.log&file=upload.log&column=level&column=msg&sizes=1.3,1,0.9';

const pictures = [
  { name: 'panes-dark', width: 1440, height: 820, dark: true, query: THREE, run: '' },
  {
    name: 'filter-light',
    width: 1280,
    height: 760,
    dark: false,
    query: '?file=ds_update.log&filter=-DEBUG&find=offline+retrying+/fail\\w*|失败/',
    run: "document.querySelector('.chip.fold')?.click()",
  },
  { name: 'telephone', width: 390, height: 844, dark: true, query: '?file=download.log', run: '' },
];

const server = await startServer(binary, ['--demo']);
try {
  // Some history, and some of everything in it.
  await sleep(12_000);
  for (const { name, width, height, dark, query, run } of pictures) {
    const browser = await startBrowser({ width, height, dark, mouse: width > 500 });
    try {
      await browser.goto(`${server.address}/${encodeURI(query)}`);
      await browser.until("document.querySelectorAll('.row').length > 10");
      await sleep(1_500);
      if (run) await browser.run(run);
      // The pointer and the focus are nowhere.
      await browser.run('document.activeElement.blur()');
      await sleep(500);
      await browser.shot(`${folder}/${name}.png`);
      console.log(`${folder}/${name}.png`);
    } finally {
      await browser.end();
    }
  }
} finally {
  server.end();
}
