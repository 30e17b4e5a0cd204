"""Reach's backend: an HTTP API, an event stream and a TCP tunnel in one process, on the standard library alone."""

VERSION = "1.0.0"
