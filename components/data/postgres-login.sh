# A database with its owner and extensions, and the login role of one consumer. It bears to be run twice.
# "$1": database, "$2": role, "$3": rights, "$4": extensions.
export PGDATABASE=postgres PGUSER=postgres PGHOST=/var/run/postgresql PGCONNECT_TIMEOUT=10
ask() { psql -XqAt -v ON_ERROR_STOP=1 -v database="$1" -v owner="$1_owner" -v role="$2"; }
set -e
# One login after the other: two would make the same database at once.
exec 9> /var/run/postgresql/bulkhead-login.lock
flock 9
password=$(cat /run/secrets/password)
# Neither the log nor an error may have the text with the password.
ask "$1" "$2" <<SQL
set log_min_duration_statement = -1;
set log_min_error_statement = panic;
select format('create role %I nologin', :'owner') where not exists (select from pg_roles where rolname = :'owner') \gexec
select format('create role %I nologin', :'role') where not exists (select from pg_roles where rolname = :'role') \gexec
alter role :"role" login nosuperuser nocreatedb nocreaterole noreplication nobypassrls password '$password';
select format('create database %I owner %I', :'database', :'owner') where not exists (select from pg_database where datname = :'database') \gexec
revoke all on database :"database", postgres, template1 from public;
grant connect, temporary on database :"database" to :"role";
SQL
PGDATABASE=$1
for extension in $4; do psql -XqAt -v ON_ERROR_STOP=1 -v extension="$extension" <<'SQL'
create extension if not exists :"extension";
SQL
done
ask "$1" "$2" <<'SQL'
alter schema public owner to :"owner";
revoke all on schema public from public;
grant usage on schema public to :"role";
SQL
case $3 in
  owner)
    ask "$1" "$2" <<'SQL'
grant :"owner" to :"role";
alter role :"role" in database :"database" set role :"owner";
SQL
    ;;
  *)
    ask "$1" "$2" <<'SQL'
revoke :"owner" from :"role";
alter role :"role" in database :"database" reset role;
revoke all on all tables in schema public from :"role";
revoke all on all sequences in schema public from :"role";
alter default privileges for role :"owner" in schema public revoke all on tables from :"role";
alter default privileges for role :"owner" in schema public revoke all on sequences from :"role";
grant select on all tables in schema public to :"role";
alter default privileges for role :"owner" in schema public grant select on tables to :"role";
SQL
    [ "$3" = read ] || ask "$1" "$2" <<'SQL'
grant insert, update, delete on all tables in schema public to :"role";
grant usage on all sequences in schema public to :"role";
alter default privileges for role :"owner" in schema public grant insert, update, delete on tables to :"role";
alter default privileges for role :"owner" in schema public grant usage on sequences to :"role";
SQL
    ;;
esac
finish
