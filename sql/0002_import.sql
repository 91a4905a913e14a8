-- A list of a million goes in within a minute, while residents sign in and are erased.

-- RFC 9562, 5.7: ids that begin with the time land side by side in every index, where random ones would each touch a page.
create function uuid_v7() returns uuid language sql volatile parallel safe as $$
  -- A random uuid of version 4 with the milliseconds in front; two bits more make its version 7.
  select encode(set_bit(set_bit(
    overlay(uuid_send(gen_random_uuid())
      placing substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6),
    52, 1), 53, 1), 'hex')::uuid
$$;
alter table accounts alter column id set default uuid_v7();

-- legacy-ids.ts: whose they are is asked by account, so one index serves as key and for that
drop index legacy_ids_account;
alter table legacy_ids drop constraint legacy_ids_pkey, add primary key (account_id, source, legacy_id);

-- accounts.ts: fast old hashes rest sealed until they are wrapped in argon2id
create index accounts_to_wrap on accounts (id) where password_hash like 'sealed:%';

-- accounts.ts: goes on with each erasure, so that an import under way sees at a glance that there is a new one
create sequence erasures_made;

-- account-lists.ts
alter table import_rows
  add column first_line integer,                        -- of the rows that share the address
  add column erased boolean not null default false;

-- account-lists.ts: what the list being imported changes, in the order in which it is merged
create unlogged table import_changes (
  nth           integer,                                -- the same for all rows of one address
  line          integer,
  first_line    integer,                                -- of the rows that share the address
  legacy_id     text not null,
  email         text not null,
  email_key     text not null,
  given_name    text,
  family_name   text,
  phone_number  text,
  locale        text,
  created_at    timestamptz,
  password_hash text,
  doubt         text,
  account_id    uuid,                                   -- null: to be made
  joins         boolean not null,                       -- the account stands on other lists only
  primary key (nth, line)
);
