-- services.ts: which e-services a resident uses, since when, and what each gets
create table services (
  account_id uuid not null references accounts (id) on delete cascade,
  client_id  text not null,
  given      jsonb not null,                            -- {scopes, claims, resources}
  agreed_at  timestamptz,                               -- null: the city's own, nobody was asked
  first_at   timestamptz not null,
  last_at    timestamptz not null,
  primary key (account_id, client_id)
);
