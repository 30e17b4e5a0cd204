# The official image has no user of its own, and keeps its settings in /config.
mkdir -p "$1/config/rclone" "$1/data"
ln -sf /usr/bin/rclone "$1/usr/local/bin/rclone"
