"""`python -m llm_server [SETTINGS AS JSON]`: prints its port, and serves until it is killed."""

from __future__ import annotations

import asyncio
import json
import sys

from aiohttp import web

from llm_server.answering import handle
from llm_server.batching import create_batch, download, get_batch, upload
from llm_server.replies import ROUTES
from llm_server.state import count, reset_count, settings


async def get_count(_: web.Request) -> web.Response:
    return web.json_response(count)


async def post_settings(request: web.Request) -> web.Response:
    """New settings; the count starts again."""
    settings.update(await request.json())
    reset_count()
    return web.json_response(settings)


async def post_change(request: web.Request) -> web.Response:
    """New settings; nothing is forgotten."""
    settings.update(await request.json())
    return web.json_response(settings)


def main() -> None:
    settings.update(json.loads(sys.argv[1]) if len(sys.argv) > 1 else {})
    reset_count()
    app = web.Application(client_max_size=64_000_000)
    for path in ROUTES:
        app.router.add_post(path, handle)
    app.router.add_post("/v1/messages/batches", create_batch)
    app.router.add_get("/v1/messages/batches", get_batch)
    app.router.add_get("/v1/messages/batches/{name}", get_batch)
    app.router.add_get("/v1/messages/batches/{name}/results", download)
    app.router.add_post("/v1/files", upload)
    app.router.add_get("/v1/files/{name}/content", download)
    app.router.add_post("/v1/batches", create_batch)
    app.router.add_get("/v1/batches", get_batch)
    app.router.add_get("/v1/batches/{name}", get_batch)
    app.router.add_get("/count", get_count)
    app.router.add_post("/settings", post_settings)
    app.router.add_post("/change", post_change)

    async def serve() -> None:
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        print(runner.addresses[0][1], flush=True)
        await asyncio.Event().wait()

    asyncio.run(serve())


if __name__ == "__main__":
    main()
