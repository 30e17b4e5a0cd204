#!/bin/sh
# Resolves the dependencies of pyproject.toml anew. Needs Poetry with its plugin poetry-plugin-export.
set -eu
cd "$(dirname "$0")"
poetry lock
poetry export --format requirements.txt --output requirements.txt
poetry export --format requirements.txt --output requirements-test.txt --with dev
