"""An HTTP server of a test's own, that says nothing of clients that went away."""

from __future__ import annotations

from http.server import ThreadingHTTPServer
from typing import Any


class LocalServer(ThreadingHTTPServer):
    """A client may be killed, or end while it is answered. What is printed then would stand on a later test's page."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass
