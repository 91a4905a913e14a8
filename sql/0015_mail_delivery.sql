-- Mails that go out at a pace, and at which step of the dialogue one was not taken.

-- mail-outcomes.ts
alter table mails
  add column turn_at timestamptz,                       -- when it may go out; none: it has not asked yet
  add column step text check (step in ('connection', 'login', 'sender', 'recipient', 'message'));

-- mail-pace.ts: when the last mail of a lane may go out. Lanes are digests: a receiving domain may be a person's name.
create table mail_pace (
  lane     text primary key,
  gap      double precision not null,                   -- seconds between two mails
  warm_up  double precision not null,                   -- seconds from the first mail until that holds; 0: from the start
  began_at timestamptz not null,
  turn_at  timestamptz not null
);
create index mail_pace_turn on mail_pace (turn_at);
