# The user, the paths and the entry point of the official image: `haproxy` runs in the foreground with a master.
ln -s /usr/sbin/haproxy "$1/usr/local/sbin/haproxy"
mkdir -p "$1/usr/local/etc/haproxy" "$1/var/lib/haproxy"
echo 'haproxy:x:99:99:haproxy:/var/lib/haproxy:/bin/false' >> "$1/etc/passwd"
echo 'haproxy:x:99:' >> "$1/etc/group"
chown 99:99 "$1/var/lib/haproxy"
cat > "$1/usr/local/bin/docker-entrypoint.sh" <<'END'
#!/bin/sh
set -e
if [ "${1#-}" != "$1" ]; then
  set -- haproxy "$@"
fi
if [ "$1" = haproxy ]; then
  shift
  set -- haproxy -W -db "$@"
fi
exec "$@"
END
chmod 755 "$1/usr/local/bin/docker-entrypoint.sh"
