"""`python -m profiledoctor`: serves on port 8000 until SIGTERM, and then what has begun to its end."""

import os

import uvicorn

from .app import create_app
from .settings import load

uvicorn.run(
    create_app(load()),
    host="0.0.0.0",
    port=8000,
    timeout_graceful_shutdown=int(os.environ.get("DRAIN_SECONDS", "10")),
    # The edge has the access log, and says which client it is.
    access_log=False,
    server_header=False,
)
