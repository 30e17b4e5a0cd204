# Settings that need no restart, then the databases with their owners and extensions. It bears to be run twice.
# "$@": NAME=VALUE for each setting, then --, then DATABASE:EXTENSION,EXTENSION for each database.
export PGDATABASE=postgres PGUSER=postgres PGHOST=/var/run/postgresql PGCONNECT_TIMEOUT=10
set -e
kept=
while [ "$1" != -- ]; do
  kept="$kept ${1%%=*}"
  printf 'alter system set %s = :'"'value'"';\n' "${1%%=*}" | psql -XqAt -v ON_ERROR_STOP=1 -v value="${1#*=}"
  shift
done
shift
psql -XqAt -v ON_ERROR_STOP=1 -v kept="$kept" << 'SQL'
select format('alter system reset %s', name) from (
  select distinct name from pg_file_settings where sourcefile like '%/postgresql.auto.conf'
) as set where name <> all (string_to_array(:'kept', ' ')) and name not like 'recovery%' and name <> 'restore_command' \gexec
select pg_reload_conf();
select 'create role bulkhead_logins nologin' where not exists (select from pg_roles where rolname = 'bulkhead_logins') \gexec
select 'create role bulkhead_replication nologin' where not exists (select from pg_roles where rolname = 'bulkhead_replication') \gexec
revoke all on database postgres, template1 from public;
grant connect on database postgres to bulkhead_replication;
grant execute on function pg_switch_wal(), pg_create_restore_point(text) to bulkhead_replication;
create schema if not exists bulkhead;
-- For PgBouncer: the hash of a consumer's login, and of nobody else's.
create or replace function bulkhead.secret_of(wanted text) returns table (name text, secret text)
language sql stable security definer set search_path = pg_catalog as $$
  select login.rolname::text, login.rolpassword from pg_authid as login
  join pg_auth_members as member on member.member = login.oid
  join pg_roles as logins on logins.oid = member.roleid and logins.rolname = 'bulkhead_logins'
  where login.rolname = wanted and login.rolcanlogin and not login.rolsuper and not login.rolreplication
$$;
revoke all on function bulkhead.secret_of(text) from public;
-- For the drill of a backup: a row that was written just before.
create table if not exists bulkhead.probe (token text primary key, at timestamptz not null default now());
-- What it was before an upgrade, by system identifiers.
create table if not exists bulkhead.before (system text primary key, at timestamptz not null default now());
grant select on bulkhead.before to bulkhead_replication;
grant usage on schema bulkhead to bulkhead_replication;
grant select, insert, delete on bulkhead.probe to bulkhead_replication;
SQL
for each in "$@"; do
  database=${each%%:*}
  psql -XqAt -v ON_ERROR_STOP=1 -v database="$database" -v owner="${database}_owner" << 'SQL'
select format('create role %I nologin', :'owner') where not exists (select from pg_roles where rolname = :'owner') \gexec
select format('create database %I owner %I', :'database', :'owner') where not exists (select from pg_database where datname = :'database') \gexec
revoke all on database :"database" from public;
SQL
  PGDATABASE=$database psql -XqAt -v ON_ERROR_STOP=1 -v owner="${database}_owner" << 'SQL'
alter schema public owner to :"owner";
revoke all on schema public from public;
SQL
  for extension in $(printf %s "${each#*:}" | tr , ' '); do
    PGDATABASE=$database psql -XqAt -v ON_ERROR_STOP=1 -v extension="$extension" << 'SQL'
create extension if not exists :"extension";
SQL
  done
done
finish
