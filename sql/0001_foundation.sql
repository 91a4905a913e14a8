-- Residents, what they prove themselves with, and what the provider remembers.
-- One owner file in src/records/ for each table; nobody else writes its name in SQL.

-- accounts.ts
create table accounts (
  id             uuid primary key default gen_random_uuid(),
  email          text not null,                       -- as the resident or the list wrote it (trimmed): for display and for mail
  email_key      text not null unique,                -- canonical form: NFC, lower case, domain in IDNA ASCII
  email_verified boolean not null default false,      -- a mailed link was used
  given_name     text,
  family_name    text,
  phone_number   text,
  locale         text,
  -- 'none': came from a list without a password, or a second list joined; 'list': vouched for by one list only; 'own': set by the resident
  password_state text not null default 'none' check (password_state in ('none', 'list', 'own')),
  password_hash  text,
  password_list  text,
  locked_at      timestamptz,
  -- raised by every change that must end proofs: password, address, factor, another list, lock, erase
  epoch          integer not null default 0,
  created_at     timestamptz not null,
  updated_at     timestamptz not null,
  signed_in_at   timestamptz,
  check ((password_hash is null) = (password_state = 'none')),
  check ((password_list is not null) = (password_state = 'list'))
);

-- accounts.ts: keyed hashes of what was erased; they outlive the account
create table erasures (
  kind      text not null check (kind in ('email', 'legacy_id')),
  digest    bytea not null,
  erased_at timestamptz not null,
  primary key (kind, digest)
);

-- legacy-ids.ts: what each e-service's own list said. A tie in doubt is tied to nobody.
create table legacy_ids (
  source     text not null,
  legacy_id  text not null,
  account_id uuid not null references accounts (id) on delete cascade,
  doubt      text check (doubt in ('shared_email', 'unusable_legacy_id', 'mixed_script', 'unlinked')),
  created_at timestamptz not null,
  primary key (source, legacy_id, account_id)
);
create unique index legacy_ids_one_owner on legacy_ids (source, legacy_id) where doubt is null;
create unique index legacy_ids_one_id on legacy_ids (source, account_id) where doubt is null;
create index legacy_ids_account on legacy_ids (account_id);

-- account-lists.ts: the list being imported, one at a time; emptied afterwards
create unlogged table import_rows (
  line          integer primary key,
  legacy_id     text,
  email         text,
  email_key     text,
  given_name    text,
  family_name   text,
  phone_number  text,
  locale        text,
  created_at    timestamptz,
  password_hash text,                                   -- weak ones sealed until they are wrapped
  problem       text,                                   -- why the row is left out
  doubt         text,                                   -- why its id is not tied
  hash_problem  text,
  name_mismatch boolean not null default false,
  detail        text
);

-- subjects.ts: a sub once given out stays, also after erasure: no foreign key
create table subjects (
  sector     text not null,
  account_id uuid not null,
  sub        text not null,
  created_at timestamptz not null,
  primary key (sector, account_id),
  unique (sector, sub)
);
create index subjects_account on subjects (account_id);

-- links.ts: mailed one-time links
create table links (
  id              uuid primary key default gen_random_uuid(),
  token_hash      bytea not null unique,
  account_id      uuid not null references accounts (id) on delete cascade,
  purpose         text not null check (purpose in ('set_password')),
  client_id       text,                                 -- the e-service it came from: where 'go to sign in' leads
  interaction_uid text,                                 -- the sign-in it came from: without its cookie the uid opens nothing
  created_at      timestamptz not null,
  expires_at      timestamptz not null,
  spent_at        timestamptz,
  ended_at        timestamptz                           -- another link of the account was spent
);
create index links_account on links (account_id, created_at desc);
create index links_expiry on links (expires_at);

-- throttle.ts: failures by key, draining with time
create table throttle (
  key        text primary key,
  points     double precision not null,
  updated_at timestamptz not null,
  expires_at timestamptz not null
);
create index throttle_expiry on throttle (expires_at);

-- audit.ts: append-only
create table audit (
  id         bigint generated always as identity primary key,
  at         timestamptz not null,
  kind       text not null,
  account_id uuid,
  client_id  text,
  place      text,                                      -- network address
  actor      text not null default 'resident',          -- resident | support:<os user> | system
  detail     jsonb not null default '{}'
);
create index audit_account on audit (account_id, at desc);

-- signing-keys.ts: states are functions of these times and the clock
create table signing_keys (
  kid          text primary key,
  alg          text not null,
  public_jwk   jsonb not null,
  private_jwk  text,                                    -- sealed; gone once retired
  published_at timestamptz not null,
  active_at    timestamptz not null,
  retires_at   timestamptz not null,                    -- signs no more
  removed_at   timestamptz not null                     -- no longer published
);

-- interactions.ts: sign-ins under way, from their first POST on
create table interactions (
  uid_hash   bytea primary key,
  payload    text not null,
  facts      text not null default '{}',                -- address, step, tries
  account_id uuid,                                      -- whose proof stands in result
  epoch      integer,
  created_at timestamptz not null,
  expires_at timestamptz not null
);
create index interactions_expiry on interactions (expires_at);

-- artifacts.ts: the provider's other models (sessions, grants, codes, tokens, …); ids stand as hashes
create table artifacts (
  id          bytea primary key,                        -- sha256 of model:id
  model       text not null,
  payload     text not null,
  account_id  uuid,
  epoch       integer,
  client_id   text,
  grant_hash  bytea,                                    -- the id of the Grant's row
  uid_hash    bytea,                                    -- sha256 of Session.uid
  consumed_at timestamptz,
  expires_at  timestamptz not null
);
create index artifacts_grant on artifacts (grant_hash) where grant_hash is not null;
create unique index artifacts_session_uid on artifacts (uid_hash) where uid_hash is not null;
create index artifacts_account on artifacts (account_id) where model in ('Session', 'Grant');
create index artifacts_expiry on artifacts (expires_at);

-- Takes back a whole statement of writes when one of its premises did not hold: a code already spent, a proof outlived.
create function refuse(reason text) returns integer language plpgsql as $$
begin
  raise exception using errcode = 'TU001', message = reason;
end
$$;
