"""A server that speaks HTTP/2 over TLS; each answer tells how many connections there have been. Prints its port."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from typing import Any

from hypercorn.asyncio import serve
from hypercorn.config import Config

peers: set[tuple[str, int]] = set()


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    peers.add(tuple(scope["client"]))
    await asyncio.sleep(0.05)
    body = json.dumps({"connections": len(peers), "version": scope["http_version"], "path": scope["path"]}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    config = Config()
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    config.bind = [f"fd://{listener.detach()}"]
    config.certfile = config.keyfile = sys.argv[1]
    config.errorlog = None
    asyncio.run(serve(app, config))  # type: ignore[arg-type]
