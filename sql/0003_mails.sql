-- mail-outcomes.ts: what became of each mail. Never an address, a link, or a mail server's words, which may repeat both.
create table mails (
  id         uuid primary key default gen_random_uuid(),  -- the key of its job in the queue
  account_id uuid references accounts (id) on delete cascade,
  kind       text not null,
  queued_at  timestamptz not null,
  outcome    text not null default 'queued'
    check (outcome in ('queued', 'sent', 'delayed', 'refused', 'given_up', 'bounced')),
  outcome_at timestamptz not null,
  tries      integer not null default 0,
  reply      integer check (reply between 200 and 599),                      -- RFC 5321, 4.2
  status     text check (status ~ '^[245]\.[0-9]{1,3}\.[0-9]{1,3}$')         -- RFC 3463
);
create index mails_account on mails (account_id, queued_at desc);
create index mails_queued on mails (queued_at);
