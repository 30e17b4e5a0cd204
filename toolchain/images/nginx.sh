# The user and the paths of nginxinc/nginx-unprivileged: nginx starts without root.
echo 'nginx:x:101:101:nginx:/nonexistent:/bin/false' >> "$1/etc/passwd"
echo 'nginx:x:101:' >> "$1/etc/group"
mkdir -p "$1/var/log/nginx" "$1/var/lib/nginx" "$1/var/cache/nginx"
ln -sf /dev/stdout "$1/var/log/nginx/access.log"
ln -sf /dev/stderr "$1/var/log/nginx/error.log"
chown 101:0 "$1/var/cache/nginx"
rm -f "$1"/etc/nginx/modules-enabled/*
