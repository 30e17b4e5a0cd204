-- Takes the logins of a consumer away that a newer one has followed. "current": those that the program has; "used": those
-- that a container still has. Each with spaces between.
set log_min_duration_statement = -1;
create temp table old_login on commit preserve rows as
  select distinct login.rolname as name from pg_roles as login
  join pg_auth_members as member on member.member = login.oid
  join pg_roles as kind on kind.oid = member.roleid and kind.rolname in ('bulkhead_logins', 'bulkhead_replication')
  where login.rolcanlogin and not login.rolsuper
  and login.rolname <> all (string_to_array(:'current', ' ') || string_to_array(:'used', ' '))
  -- One whose job is not there, because somebody cleaned up, is no old one.
  and exists (select from pg_roles as newer where newer.rolname = any (string_to_array(:'current', ' '))
    and shobj_description(newer.oid, 'pg_authid') = shobj_description(login.oid, 'pg_authid'));
select format('alter role %I nologin password null', name) from old_login \gexec
-- Whoever still has the old password.
select count(pg_terminate_backend(pid)) from pg_stat_activity where usename in (select name from old_login) \g /dev/null
select name from old_login order by name;
-- One that owns something stays, without a login.
\set ON_ERROR_STOP off
set client_min_messages = panic;
select format('drop role %I', name) from old_login \gexec
