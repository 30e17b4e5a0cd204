-- Takes every login away that no job of the program has made any more. "current": those that it has, with spaces between.
set log_min_duration_statement = -1;
create temp table old_login on commit preserve rows as
  select distinct login.rolname as name from pg_roles as login
  join pg_auth_members as member on member.member = login.oid
  join pg_roles as kind on kind.oid = member.roleid and kind.rolname in ('bulkhead_logins', 'bulkhead_replication')
  where login.rolcanlogin and not login.rolsuper and login.rolname <> all (string_to_array(:'current', ' '));
select format('alter role %I nologin password null', name) from old_login \gexec
-- Whoever still has the old password.
select count(pg_terminate_backend(pid)) from pg_stat_activity where usename in (select name from old_login) \g /dev/null
select name from old_login order by name;
-- One that owns something stays, without a login.
\set ON_ERROR_STOP off
set client_min_messages = panic;
select format('drop role %I', name) from old_login \gexec
