# The rows of each table of each database, a line each.
count_rows() {
  for each in $(psql -XqAt -d postgres -c 'select datname from pg_database where datallowconn and not datistemplate order by datname'); do
    psql -XqAt -d "$each" -c "select format('%I.%I', nspname, relname) from pg_class join pg_namespace n on n.oid = relnamespace where relkind in ('r', 'm') and relpersistence <> 't' and nspname <> 'pg_catalog' and nspname <> 'information_schema' and nspname <> 'pg_toast' order by 1" >/tmp/counted || return
    while read -r table; do
      echo "$each $table $(psql -XqAt -d "$each" -c "select count(*) from $table" </dev/null)" || return
    done </tmp/counted
  done
}
