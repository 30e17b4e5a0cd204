# The user of the official image, who cannot write anywhere.
echo 'nonroot:x:65532:65532:nonroot:/:/bin/false' >> "$1/etc/passwd"
echo 'nonroot:x:65532:' >> "$1/etc/group"
chmod 755 "$1/usr/local/bin/cloudflared"
