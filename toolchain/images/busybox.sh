# What the Alpine images have around their program: BusyBox's tools, certificates, a user database, and no package
# manager. The packages were only unpacked, so what their install scripts would have made is made here.
mkdir -p "$1/etc/ssl/certs" "$1/tmp" "$1/root" "$1/usr/local/bin" "$1/usr/local/sbin"
chmod 1777 "$1/tmp"
chroot "$1" /bin/busybox --install -s
cat "$1"/usr/share/ca-certificates/mozilla/*.crt > "$1/etc/ssl/certs/ca-certificates.crt"
printf '%s\n' 'root:x:0:0:root:/root:/bin/sh' 'nobody:x:65534:65534:nobody:/:/bin/false' > "$1/etc/passwd"
printf '%s\n' 'root:x:0:' 'nobody:x:65534:' > "$1/etc/group"
