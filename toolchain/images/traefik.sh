# The official entry point: options and Traefik's own commands go to Traefik, anything else runs as it is.
cat > "$1/entrypoint.sh" <<'END'
#!/bin/sh
set -e
if [ "${1#-}" != "$1" ]; then
  set -- traefik "$@"
elif [ "$1" != traefik ] && traefik "$1" --help > /dev/null 2>&1; then
  set -- traefik "$@"
fi
exec "$@"
END
chmod 755 "$1/entrypoint.sh" "$1/usr/local/bin/traefik"
