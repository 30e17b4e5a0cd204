"""`python -m statsboard`: serves on port 9000 until SIGTERM, and then what has begun to its end."""

import os

import uvicorn

from .app import create_app
from .settings import load


class Server(uvicorn.Server):
    def handle_exit(self, sig: int, frame: object) -> None:
        self.config.app.state.ending.set()
        super().handle_exit(sig, frame)


def main() -> None:
    drain = int(os.environ.get("DRAIN_SECONDS", "10"))
    config = uvicorn.Config(
        create_app(load()),
        host="0.0.0.0",
        port=9000,
        timeout_graceful_shutdown=drain,
        # The edge has the access log, and says which client it is.
        access_log=False,
        server_header=False,
    )
    Server(config).run()


main()
