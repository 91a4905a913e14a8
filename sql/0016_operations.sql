-- Seeing at one look how the service is, and keeping it through a restore.

-- nodes.ts: which processes serve. A row is written anew every few seconds and goes with its process.
create table nodes (
  id            uuid primary key,
  name          text not null,                          -- host and port
  version       text not null,
  configuration text not null,                          -- a keyed hash: nodes that differ were not configured alike
  started_at    timestamptz not null,
  seen_at       timestamptz not null,
  stopping      boolean not null default false
);

-- mail-outcomes.ts: what waits and what failed lately, among millions that went out
create index mails_waiting on mails (queued_at) where outcome in ('queued', 'delayed');
create index mails_failed on mails (outcome_at) where outcome in ('refused', 'given_up', 'bounced');

-- artifacts.ts: sessions are swept apart from the rest, which would all have to be read on the way to them
create index artifacts_session_expiry on artifacts (expires_at) where model = 'Session';
