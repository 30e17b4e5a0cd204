#!/bin/sh
# Resolves the dependencies of pyproject.toml anew, each with its hashes. Needs uv.
set -eu
cd "$(dirname "$0")"
lock() { uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --python-version 3.11 "$@"; }
lock pyproject.toml --output-file requirements.txt
lock pyproject.toml --group test --constraint requirements.txt --output-file requirements-test.txt
