# Makes the volume at /restore a data directory as of "$1" from what was fetched into it, and reads all of it. It bears to be
# run twice: what was done is left as it is.
if [ -e /restore/bulkhead-restored ]; then
  cat /restore/bulkhead-restored
  finish
fi
find /restore -mindepth 1 -maxdepth 1 ! -name .fetched -exec rm -rf {} + || exit
unpack /restore/.fetched /restore "$1" || exit
start_scratch /restore on || exit
without=$(without_amcheck)
found=$(check_all) || exit
for database in $without; do psql -XqAt -d "$database" -c 'drop extension amcheck' || exit; done
stop_scratch || exit
sed -i '/^restore_command = \|^recovery_target/d' /restore/postgresql.auto.conf || exit
rm -rf /restore/.fetched || exit
rows=${found%% *} found=${found#* }
echo "restored to $1: $rows rows in ${found%% *} tables of the databases ${found#* }; $(grep -E 'last completed transaction' /tmp/server.log | tail -1 | sed 's/^.*LOG: *//')" >/restore/bulkhead-restored
sync
cat /restore/bulkhead-restored
finish
