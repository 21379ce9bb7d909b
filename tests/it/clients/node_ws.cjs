// Node's `ws`: every message as a line into a file, the close on standard output.
const fs = require('fs');
const WebSocket = require('ws');

const [url, path] = process.argv.slice(2);
const out = fs.openSync(path, 'w');
const socket = new WebSocket(url);
socket.on('message', (data) => fs.writeSync(out, Buffer.concat([data, Buffer.from('\n')])));
socket.on('close', (code, reason) => console.log(code, reason.toString()));
socket.on('error', (error) => console.log('error', error.message));
