"""Reach's backend: an HTTP API, an event stream and a TCP tunnel in one process."""

VERSION = "1.0.0"
