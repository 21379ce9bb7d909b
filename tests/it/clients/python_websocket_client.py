"""Python's `websocket-client`: every message as a line into a file, the close on standard output."""

import struct
import sys

import websocket

with open(sys.argv[2], "wb") as out:
    socket = websocket.create_connection(sys.argv[1])
    while True:
        opcode, data = socket.recv_data()
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            print(struct.unpack("!H", data[:2])[0], data[2:].decode())
            break
        out.write(data + b"\n")
        out.flush()
    socket.close()
