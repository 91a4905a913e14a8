-- Stronger ways to sign in, and accounts that residents make themselves.

-- What of an account's factors each look-up must know, kept here so that it comes along: factors.ts writes it with each change.
alter table accounts
  add column factors text[] check (factors <@ array['passkey', 'authenticator']),
  -- The resident wants to be asked for a second step after the password, though there is no authenticator app.
  add column two_steps boolean not null default false,
  -- A passkey is offered after this time; 'infinity': never again. Null: none was offered yet.
  add column passkey_offer_after timestamptz;

create table passkeys (
  id uuid primary key default gen_random_uuid(),
  account_id uuid not null references accounts on delete cascade,
  credential_id bytea not null unique,
  -- COSE (RFC 9052)
  public_key bytea not null,
  counter bigint not null,
  backup_eligible boolean not null,
  backed_up boolean not null,
  transports text[] not null,
  name text not null,
  -- The last one that was answered: an answer serves once.
  challenge text,
  created_at timestamptz not null,
  used_at timestamptz
);
create index passkeys_account on passkeys (account_id);

create table authenticators (
  account_id uuid primary key references accounts on delete cascade,
  sealed text not null,
  -- The time step (RFC 6238) of the last code that was taken: none of it or before is taken again.
  last_step bigint not null,
  created_at timestamptz not null,
  used_at timestamptz
);

create table recovery_codes (
  account_id uuid not null references accounts on delete cascade,
  digest bytea not null,
  created_at timestamptz not null,
  spent_at timestamptz,
  primary key (account_id, digest)
);

-- What support has been asked to remove, and does after a while if the resident says nothing.
create table factor_removals (
  account_id uuid primary key references accounts on delete cascade,
  -- A passkey's id, 'authenticator' or 'all'.
  factor text not null,
  actor text not null,
  token_hash bytea not null unique,
  asked_at timestamptz not null,
  due_at timestamptz not null
);
create index factor_removals_due on factor_removals (due_at);

-- Accounts to be: a mailed link makes one.
create table registrations (
  token_hash bytea primary key,
  -- The account's id, when it is made.
  account_id uuid not null default uuid_v7(),
  email text not null,
  email_key text not null,
  locale text not null,
  client_id text,
  interaction_uid text,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  spent_at timestamptz
);
create index registrations_email on registrations (email_key);
create index registrations_expiry on registrations (expires_at);
