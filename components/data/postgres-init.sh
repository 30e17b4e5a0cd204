# Makes the database in an empty volume, and refuses a volume or an image that this server could not serve. It runs
# beside the server that is to be replaced, and changes nothing of it. "$1": the major version; the rest: its settings.
wanted=$1
shift
image=$(postgres --version) || exit
case $image in
  *" $wanted".* | *" $wanted") ;;
  *)
    echo "the image has $image, and version is $wanted: give an image of $wanted, or another version" >&2
    exit 1
    ;;
esac
for other in "$PGDATA" "$PGDATA"/*/ "$PGDATA"/*/docker/; do
  [ "$other" != "$PGDATA" ] && [ -s "$other/PG_VERSION" ] && [ -d "$other/global" ] || continue
  echo "the volume has the database of PostgreSQL $(cat "$other/PG_VERSION") in ${other#"$PGDATA/"}, where this server does not" \
    "look (images from 18 on keep it there): move what is in it to the top of the volume, or dump it and restore it" >&2
  exit 1
done
if [ -s "$PGDATA/PG_VERSION" ]; then
  found=$(cat "$PGDATA/PG_VERSION")
  if [ "$found" != "$wanted" ]; then
    echo "the volume holds PostgreSQL $found, and the image is of $wanted: give an image of $found, or upgrade it by \`bulkhead upgrade-database\`" >&2
    exit 1
  fi
else
  # What an initdb that was broken off has left is known by its folder.
  if [ ! -d "$PGDATA/.new" ] && [ -n "$(ls -A "$PGDATA")" ]; then
    echo "the volume has files and no database: give another name, or empty the volume if nobody needs them" >&2
    exit 1
  fi
  rm -rf "$PGDATA/.new"
  initdb --pgdata="$PGDATA/.new" --username=postgres --data-checksums --encoding=UTF8 --locale=C.UTF-8 \
    --auth-local=peer --auth-host=scram-sha-256 || exit
  # PG_VERSION comes last, so that what was broken off is begun anew.
  for file in "$PGDATA"/.new/*; do
    name=${file##*/}
    [ "$name" = PG_VERSION ] && continue
    rm -rf "${PGDATA:?}/$name"
    mv "$file" "$PGDATA/$name" || exit
  done
  chmod 0700 "$PGDATA" || exit
  mv "$PGDATA/.new/PG_VERSION" "$PGDATA/PG_VERSION" && rmdir "$PGDATA/.new" && sync || exit
fi
# A setting that the server does not know, or a value that it does not take, is refused while the old one serves.
postgres -D "$PGDATA" "$@" -C max_connections > /dev/null || exit
finish
