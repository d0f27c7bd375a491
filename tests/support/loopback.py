"""A small HTTP/1.1 server of asyncio, for processes that play a provider on a line that may be spoilt."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Mapping

Headers = Mapping[str, str]
"""By their names in lower case."""


class Loopback:
    """Prints its origin once it listens, and serves until its process ends. `answer` writes what a request gets."""

    origin = ""

    async def serve(self) -> None:
        """Listen at a free port, for ever."""
        server = await asyncio.start_server(self.talk, "127.0.0.1", 0, limit=1 << 20, backlog=1024)
        self.origin = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        print(self.origin, flush=True)
        async with server:
            await server.serve_forever()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection until it ends."""
        try:
            while line := await reader.readline():
                method, target, _ = line.decode("latin1").split(" ", 2)
                headers = {}
                while field := (await reader.readline()).decode("latin1").strip():
                    name, _, value = field.partition(":")
                    headers[name.lower()] = value.strip()
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                await self.answer(writer, method, target, headers, body)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def answer(
        self, writer: asyncio.StreamWriter, method: str, target: str, headers: Headers, body: bytes
    ) -> None:
        """Write the answer to a request, or spoil it."""
        raise NotImplementedError


def reply(status: int, body: object, extra: str = "") -> bytes:
    """An answer in JSON, or of these bytes; `extra` are further lines of its head."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{extra}Content-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


def reset(writer: asyncio.StreamWriter) -> None:
    """End the connection by a reset."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
