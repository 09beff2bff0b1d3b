"""The port, and the server behind it: on this machine alone."""

from __future__ import annotations

import socket
import webbrowser
from collections.abc import Callable
from pathlib import Path

import uvicorn

from autointerp.browse.app import make_app
from autointerp.browse.rendering import compile_templates
from autointerp.errors import UserError

HOST = "127.0.0.1"


def listen(port: int) -> socket.socket:
    """A socket on this machine; port 0: any that is free. Raises UserError where the port is taken."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((HOST, port))
        listening.listen(128)  # who asks before the server runs waits, and is not refused
    except (OSError, OverflowError) as error:
        listening.close()
        raise UserError(f"--port {port}: {error}; give another, or 0 for any that is free") from error
    return listening


def serve(store: Path, port: int, open_browser: bool, say: Callable[[str], None]) -> None:
    """Serves the pages of a store until it is interrupted. Raises UserError where the port is taken."""
    with listen(port) as listening:
        bound = listening.getsockname()[1]
        address = f"http://{HOST}:{bound}/"
        server = uvicorn.Server(
            uvicorn.Config(
                make_app(store, bound, ahead=True),
                log_level="warning",
                access_log=False,
                server_header=False,
                ws="none",
            )
        )
        compile_templates()
        say(f"{address} shows {store}; Ctrl-C ends it")
        if open_browser:
            webbrowser.open(address)
        server.run(sockets=[listening])
