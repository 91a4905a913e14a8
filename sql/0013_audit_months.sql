-- The audit by months, so that old ones go whole; what is personal in a row can go without breaking its seal; and the kinds of
-- device that residents sign in with.

-- audit.ts: append-only. A row has its month and its minute by the database's own clock when it was written: a node's clock,
-- or the beginning of a long transaction, may lie behind, and nothing may be added to a minute that is sealed.
alter table audit rename to audit_before;
alter index audit_account rename to audit_before_account;
alter index audit_pkey rename to audit_before_pkey;

create table audit (
  id            bigint not null,
  written_at    timestamptz not null default clock_timestamp(),
  at            timestamptz not null,
  kind          text not null,
  account_id    uuid,
  client_id     text,
  actor         text not null default 'resident',       -- resident | support:<os user> | system
  -- Personal: goes with the account, and the salt with it, so that nobody can guess from the hash what it was.
  place         text,                                   -- network address
  device        jsonb,                                  -- {browser, system}
  detail        jsonb not null default '{}',
  salt          bytea,
  personal_hash bytea not null,
  primary key (written_at, id)
) partition by range (written_at);
create sequence audit_ids owned by audit.id;
alter table audit alter column id set default nextval('audit_ids');
create index audit_account on audit (account_id, at desc, id desc);
create index audit_time on audit using brin (at);

-- Whatever no month was made for: a row is never refused.
create table audit_other partition of audit default;

-- What a seal covers of a row: audit-seals.ts.
create function audit_personal_hash(salt bytea, place text, device jsonb, detail jsonb) returns bytea
language sql immutable as $$
  select sha256(salt || convert_to(jsonb_build_array(place, device, detail)::text, 'UTF8'))
$$;
create function audit_hash(event audit) returns bytea language sql immutable as $$
  select sha256(convert_to(jsonb_build_array(event.id, extract(epoch from event.written_at), extract(epoch from event.at),
    event.kind, event.account_id, event.client_id, event.actor, encode(event.personal_hash, 'hex'))::text, 'UTF8'))
$$;

create function salt_audit() returns trigger language plpgsql as $$
begin
  new.salt := uuid_send(gen_random_uuid());
  new.personal_hash := audit_personal_hash(new.salt, new.place, new.device, new.detail);
  return new;
end
$$;
create trigger audit_salt before insert on audit for each row execute function salt_audit();

-- audit-months.ts: makes the month that a time lies in; false where it is there. A month is filled first and attached then, which
-- takes no lock that a sign-in waits for.
create function make_audit_month(day timestamptz) returns boolean language plpgsql as $$
declare
  first timestamptz := date_trunc('month', day, 'UTC');
  after timestamptz := date_trunc('month', first + interval '40 days', 'UTC');
  name  text := 'audit_' || to_char(first at time zone 'UTC', 'YYYY_MM');
begin
  if to_regclass(name) is not null then return false; end if;
  execute format('create table %I (like audit including defaults including indexes)', name);
  execute format('alter table %I add constraint month check (written_at >= %L and written_at < %L)', name, first, after);
  execute format('with moved as (delete from audit_other where written_at >= %L and written_at < %L returning *)
    insert into %I select * from moved', first, after, name);
  execute format('alter table audit attach partition %I for values from (%L) to (%L)', name, first, after);
  execute format('alter table %I drop constraint month', name);
  return true;
end
$$;

-- The months that there are, oldest first: which table, from when, until when.
create function audit_months() returns table (name text, first timestamptz, after timestamptz) language sql stable as $$
  select name, first, date_trunc('month', first + interval '40 days', 'UTC')
  from (
    select c.relname::text as name, case when c.relname ~ '^audit_\d{4}_\d\d$' then
      make_timestamptz(substr(c.relname, 7, 4)::int, substr(c.relname, 12, 2)::int, 1, 0, 0, 0, 'UTC') end as first
    from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = 'audit'::regclass
  ) as partition
  where first is not null order by first
$$;

create function drop_audit_month(name text) returns void language plpgsql as $$
begin
  if exists (select from audit_months() m where m.name = drop_audit_month.name) then
    execute format('drop table %I', name);
  end if;
end
$$;

-- Counted by UTC: by a clock with summer time two steps can fall into one month, and the next into the one after the next.
select make_audit_month(month at time zone 'UTC')
from generate_series(
  (select date_trunc('month', least(min(at), now()) at time zone 'UTC') from audit_before),
  (now() at time zone 'UTC') + interval '3 months', interval '1 month'
) as month;

insert into audit (id, written_at, at, kind, account_id, client_id, actor, place, detail)
select id, at, at, kind, account_id, client_id, actor, place, detail from audit_before order by id;
select setval('audit_ids', (select coalesce(max(id), 0) + 1 from audit), false);
drop table audit_before;

create trigger audit_progress after insert on audit for each row
  when (new.account_id is not null and new.kind in ('link_requested', 'password_set', 'signed_in', 'support_requested'))
  execute function progress_of_audit();

-- audit-seals.ts: one for each minute that has events, chained; covers all since the seal before it
create table audit_seals (
  nth    bigint primary key,
  minute timestamptz not null,
  events integer not null,
  digest bytea not null,                                -- keyed, over the events' hashes and the seal before
  anchor bytea                                          -- keyed: what came before was dropped when its time was over
);

-- devices.ts: with what kinds of device each resident signed in lately
create table devices (
  account_id uuid not null references accounts (id) on delete cascade,
  browser    text not null,
  system     text not null,
  seen_at    timestamptz not null,
  primary key (account_id, browser, system)
);
create index devices_age on devices (seen_at);
