# Makes the database in an empty volume, and refuses a volume that this server could not serve. "$1": the major version.
if [ -s "$PGDATA/PG_VERSION" ]; then
  found=$(cat "$PGDATA/PG_VERSION")
  if [ "$found" != "$1" ]; then
    echo "the volume holds PostgreSQL $found, and the image is of $1: give an image of $found, or dump it and restore it into a new one" >&2
    exit 1
  fi
else
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
finish
