// Runs before the modules are there.
(() => {
  let last = '';
  try {
    // Somebody who chose the dark theme must not be met by a white flash.
    const theme = localStorage.getItem('tailcast.theme');
    if (theme) document.documentElement.dataset.theme = theme;
    last = localStorage.getItem('tailcast.view') ?? '';
  } catch {
    // Storage may be denied; the system's theme is used then.
  }
  // The lines of the first pane are on their way at the same time as the modules. `socket.js` takes them over, where it
  // wants to connect to the same address.
  const asked = new URLSearchParams(location.search);
  const view = asked.has('file') ? asked : new URLSearchParams(last);
  const file = view.get('file');
  // Files that are merged begin with pages of lines.
  if (!file || (view.get('layout') === 'merged' && view.getAll('file').length > 1)) return;
  const address = new URL('api/v1/ws/logs', location.href);
  address.protocol = address.protocol === 'https:' ? 'wss:' : 'ws:';
  address.username = address.password = '';
  address.search = `file=${encodeURIComponent(file)}&lines=500`;
  const socket = new WebSocket(address, ['tailcast.v1']);
  /** @type {MessageEvent[]} */
  const kept = [];
  socket.onmessage = (event) => {
    // More than what is asked for should not wait for modules that may never come.
    if (kept.push(event) > 100) socket.close();
  };
  Object.assign(globalThis, { early: { socket, kept } });
})();
