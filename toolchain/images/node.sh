# The user and the entry point of the official image: what is no program goes to node.
ln -s node "$1/usr/local/bin/nodejs"
ln -s ../lib/node_modules/npm/bin/npm-cli.js "$1/usr/local/bin/npm"
ln -s ../lib/node_modules/npm/bin/npx-cli.js "$1/usr/local/bin/npx"
chown -R root:root "$1/usr/local/bin" "$1/usr/local/lib"
chroot "$1" groupadd --gid 1000 node
chroot "$1" useradd --uid 1000 --gid node --shell /bin/bash --create-home node
cat > "$1/usr/local/bin/docker-entrypoint.sh" <<'END'
#!/bin/sh
set -e
if [ "${1#-}" != "$1" ] || ! command -v "$1" > /dev/null || { [ -f "$1" ] && ! [ -x "$1" ]; }; then
  set -- node "$@"
fi
exec "$@"
END
chmod 755 "$1/usr/local/bin/docker-entrypoint.sh"
