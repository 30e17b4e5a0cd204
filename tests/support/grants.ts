// Who may what on a PostgreSQL server, a line each: to compare a server with another one that was made from it.

/** Of the whole server. The hash of a password stands for it. */
export const ofServer = `
select format('role %s: %s', rolname, to_jsonb(r) - 'oid' - 'rolname' - 'rolpassword' || jsonb_build_object('password', md5(rolpassword)))
  from pg_authid r where rolname !~ '^pg_'
union all select format('member: %s of %s by %s: %s', member::regrole, roleid::regrole, grantor::regrole,
  to_jsonb(m) - 'oid' - 'member' - 'roleid' - 'grantor') from pg_auth_members m where member > 16383
union all select format('settings: %s in %s: %s', setrole::regrole, datname, setconfig)
  from pg_db_role_setting left join pg_database d on d.oid = setdatabase
union all select format('database %s of %s: %s for %s by %s', datname, datdba::regrole, privilege_type, grantee::regrole, grantor::regrole)
  from pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba)))
union all select format('parameter %s: %s for %s', parname, privilege_type, grantee::regrole)
  from pg_parameter_acl, aclexplode(paracl)
union all select format('comment on role %s: %s', objoid::regrole, description)
  from pg_shdescription where classoid = 'pg_authid'::regclass and objoid > 16383
order by 1`;

/** Of one database. MAINTAIN came with 17: who had all of a table's rights has it too. */
export const ofDatabase = `
with own as (
  select oid from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema'
), object (what, owner, acl) as (
  select 'schema ' || nspname, nspowner, coalesce(nspacl, acldefault('n', nspowner)) from pg_namespace
    where nspname !~ '^pg_' and nspname <> 'information_schema'
  union all select format('%s %s', relkind, c.oid::regclass), relowner,
      coalesce(relacl, acldefault(case relkind when 'S' then 's' else 'r' end::"char", relowner))
    from pg_class c where relnamespace in (select oid from own) and relkind in ('r', 'v', 'm', 'S', 'p')
  union all select format('column %s.%s', attrelid::regclass, attname), relowner, attacl
    from pg_attribute join pg_class c on c.oid = attrelid where relnamespace in (select oid from own) and attacl is not null
  union all select 'function ' || p.oid::regprocedure, proowner, coalesce(proacl, acldefault('f', proowner))
    from pg_proc p where pronamespace in (select oid from own)
  union all select 'type ' || t.oid::regtype, typowner, coalesce(typacl, acldefault('T', typowner))
    from pg_type t where typnamespace in (select oid from own) and typtype in ('e', 'd')
  union all select 'large object ' || oid, lomowner, coalesce(lomacl, acldefault('L', lomowner)) from pg_largeobject_metadata
  union all select format('default for %s of %s in %s', defaclobjtype, defaclrole::regrole, nullif(defaclnamespace, 0)::regnamespace),
      defaclrole, defaclacl from pg_default_acl
)
select format('%s of %s: %s for %s by %s%s', what, owner::regrole, privilege_type, grantee::regrole, grantor::regrole,
    case when is_grantable then ', to grant' else '' end)
  from object, aclexplode(acl) where privilege_type <> 'MAINTAIN'
union all select format('system function %s: %s for %s', p.oid::regprocedure, privilege_type, grantee::regrole)
  from pg_proc p, aclexplode(proacl) where pronamespace = 'pg_catalog'::regnamespace and grantee > 16383
union all select format('policy %s on %s: %s', policyname, tablename, to_jsonb(p)) from pg_policies p
order by 1`;

/** Roles and rights beside those that Bulkhead makes: one of each kind that a person may have given. */
export const givenByHand = `
create role team; create role lead createrole noinherit;
create role analyst login password 'of a test' connection limit 3 valid until '2030-01-01';
comment on role analyst is 'reads reports';
grant team to lead with admin true, inherit false, set false;
grant team, pg_read_all_stats to analyst;
alter role analyst set work_mem = '5MB';
alter role analyst in database app set search_path = reports;
alter role analyst in database postgres set lock_timeout = '6s';
alter database app set lock_timeout = '7s';
alter database postgres set lock_timeout = '8s';
grant connect on database postgres, app to analyst; grant temporary on database app to team;
grant set on parameter log_min_duration_statement to analyst;
grant execute on function pg_catalog.pg_ls_waldir() to team;
set role app_owner;
create schema reports; grant usage on schema reports to team with grant option;
set role team; grant usage on schema reports to analyst; set role app_owner;
create table reports.orders (id int, note text, secret text); create view reports.few as select id from reports.orders;
create sequence reports.numbers; create type reports.kind as enum ('a', 'b');
create function reports.one() returns int language sql as 'select 1';
grant select (id, note), update (note) on reports.orders to team; grant all on reports.few to analyst;
grant usage on sequence reports.numbers to team;
revoke execute on function reports.one() from public; grant execute on function reports.one() to team;
revoke usage on type reports.kind from public; grant usage on type reports.kind to analyst;
alter default privileges in schema reports grant select on tables to team;
alter default privileges revoke execute on functions from public;
alter table reports.orders enable row level security;
create policy own on reports.orders to team using (id < 10);
select lo_create(42); grant select on large object 42 to team;
reset role`;
