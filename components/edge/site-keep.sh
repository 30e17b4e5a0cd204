# shellcheck shell=sh
# The job of a StaticSite, after FINISH of job.ts: puts what never changes in this release beside what releases before it had.
# A page that is open in a browser asks for the files of its own release, also when that is gone.
#
# What no release has had for KEEP_DAYS goes, and sooner what makes the volume larger than KEEP_MB. It counts from the release
# that took its place.
cd /srv/immutable || exit
now=$(date +%s)
if [ -e /kept/.current ]; then
  while IFS= read -r file; do
    [ ! -e "/kept/$file" ] || touch "/kept/$file"
  done </kept/.current
fi
find . -type f >/tmp/current
while IFS= read -r file; do
  if [ ! -e "/kept/$file" ]; then
    mkdir -p "/kept/${file%/*}" && cp "$file" "/kept/.new" && chmod 0644 /kept/.new && mv /kept/.new "/kept/$file" || exit
  fi
  touch "/kept/$file"
done </tmp/current
cp /tmp/current /kept/.current || exit
for days in "$KEEP_DAYS" 3 1 0; do
  [ "$days" -le "$KEEP_DAYS" ] || continue
  find /kept -type f ! -name '.*' -mtime "+$days" -exec rm {} +
  [ "$(du -sm /kept | cut -f 1)" -gt "$KEEP_MB" ] || break
done
echo "kept in $(($(date +%s) - now)) s: $(find /kept -type f ! -name '.*' | wc -l) files, $(du -sm /kept | cut -f 1) MiB"
finish
