# One login of a consumer, whose rights the consumer's own role holds: so two logins of one consumer, an old and a new
# one, have the same. It bears to be run twice.
# "$1": login, "$2": the consumer's role, "$3": rights, "$4": database.
export PGUSER=postgres PGHOST=/var/run/postgresql PGCONNECT_TIMEOUT=10 PGDATABASE="$4"
set -e
# One after the other: two would change the same roles at once.
exec 9> /var/run/postgresql/bulkhead-login.lock
flock 9
password=$(cat /run/secrets/password)
# All at once, so that who is at work has its rights without a gap. No log and no error may have the text with the password.
psql -XqAt -v ON_ERROR_STOP=1 -v login="$1" -v consumer="$2" -v rights="$3" -v database="$4" -v owner="$4_owner" << SQL
begin;
set local log_min_duration_statement = -1;
set local log_min_error_statement = panic;
select :'rights' = 'owner' as owns, :'rights' in ('read', 'read-write') as uses, :'rights' = 'read-write' as writes,
  :'rights' = 'pool' as pools,
  case when :'rights' = 'replication' then 'bulkhead_replication' else 'bulkhead_logins' end as kind,
  case when :'rights' = 'replication' then 'replication' else 'noreplication' end as replicates \gset
select format('create role %I nologin', :'consumer') where not exists (select from pg_roles where rolname = :'consumer') \gexec
select format('create role %I nologin', :'login') where not exists (select from pg_roles where rolname = :'login') \gexec
alter role :"login" login nosuperuser nocreatedb nocreaterole nobypassrls :replicates password '$password';
comment on role :"login" is :'consumer';
-- What it had before may have been more.
select format('revoke %I from %I', held.rolname, holder.rolname) from pg_auth_members as member
  join pg_roles as held on held.oid = member.roleid join pg_roles as holder on holder.oid = member.member
  where holder.rolname in (:'consumer', :'login') and held.rolname not in (:'consumer', :'kind') \gexec
select format('revoke all on database %I from %I', datname, :'consumer') from pg_database \gexec
select format('alter role %I in database %I reset all', :'login', datname) from pg_database \gexec
revoke all on all tables in schema public from :"consumer";
revoke all on all sequences in schema public from :"consumer";
grant :"kind", :"consumer" to :"login";
\if :pools
  grant connect on database postgres to :"consumer";
  grant usage on schema bulkhead to :"consumer";
  grant execute on function bulkhead.secret_of(text) to :"consumer";
\elif :owns
  grant connect, temporary on database :"database" to :"consumer";
  grant :"owner" to :"consumer";
  alter role :"login" in database :"database" set role :"owner";
\elif :uses
  grant connect, temporary on database :"database" to :"consumer";
  grant usage on schema public to :"consumer";
  alter default privileges for role :"owner" in schema public revoke all on tables from :"consumer";
  alter default privileges for role :"owner" in schema public revoke all on sequences from :"consumer";
  grant select on all tables in schema public to :"consumer";
  alter default privileges for role :"owner" in schema public grant select on tables to :"consumer";
  \if :writes
    grant insert, update, delete on all tables in schema public to :"consumer";
    grant usage on all sequences in schema public to :"consumer";
    alter default privileges for role :"owner" in schema public grant insert, update, delete on tables to :"consumer";
    alter default privileges for role :"owner" in schema public grant usage on sequences to :"consumer";
  \endif
\endif
commit;
SQL
finish
