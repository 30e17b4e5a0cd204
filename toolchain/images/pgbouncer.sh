# psql as PgBouncer's image has it, without Debian's wrapper.
for program in "$1"/usr/lib/postgresql/*/bin/psql; do
  ln -sf "${program#"$1"}" "$1/usr/local/bin/psql"
done
ln -sf /usr/sbin/pgbouncer "$1/usr/bin/pgbouncer"
