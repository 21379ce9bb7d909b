"""Python's `websockets`: every message as a line into a file, the close on standard output."""

import asyncio
import sys

import websockets


async def main(url, out):
    async with websockets.connect(url, max_size=None, max_queue=4096) as socket:
        try:
            async for message in socket:
                out.write(message.encode() + b"\n")
                out.flush()
        except websockets.ConnectionClosed:
            pass
        print(socket.close_code, socket.close_reason)


with open(sys.argv[2], "wb") as out:
    asyncio.run(main(sys.argv[1], out))
