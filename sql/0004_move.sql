-- How far each resident has come in the move to Tunnus, and who is warned before a dormant account is erased.

-- links.ts: when a person's browser first went to it; changes nothing about the link
alter table links add column opened_at timestamptz;

-- progress.ts: when each resident first did each step. Written by the triggers below, in the transaction of what it tells of
-- and whoever writes that; it outlives the rows that it was taken from, and ends with the account.
create table progress (
  account_id           uuid primary key references accounts (id) on delete cascade,
  link_requested_at    timestamptz,
  mailed_at            timestamptz,                     -- a link was handed over to a mail server
  mail_refused_at      timestamptz,                     -- a link was refused, given up or came back
  link_opened_at       timestamptz,
  password_set_at      timestamptz,
  signed_in_at         timestamptz,
  support_requested_at timestamptz
);

create function note_progress(whose uuid, step text, happened timestamptz) returns void language plpgsql as $$
begin
  -- The first time counts: later ones need no lock on the row.
  perform from progress p where p.account_id = whose and case step
    when 'link_requested' then p.link_requested_at when 'mailed' then p.mailed_at
    when 'mail_refused' then p.mail_refused_at when 'link_opened' then p.link_opened_at
    when 'password_set' then p.password_set_at when 'signed_in' then p.signed_in_at
    when 'support_requested' then p.support_requested_at end is not null;
  if found then return; end if;
  insert into progress as p (account_id, link_requested_at, mailed_at, mail_refused_at, link_opened_at, password_set_at,
    signed_in_at, support_requested_at)
  select a.id, case step when 'link_requested' then happened end, case step when 'mailed' then happened end,
    case step when 'mail_refused' then happened end, case step when 'link_opened' then happened end,
    case step when 'password_set' then happened end, case step when 'signed_in' then happened end,
    case step when 'support_requested' then happened end
  from accounts a where a.id = whose for key share
  on conflict (account_id) do update set
    link_requested_at = coalesce(p.link_requested_at, excluded.link_requested_at),
    mailed_at = coalesce(p.mailed_at, excluded.mailed_at),
    mail_refused_at = coalesce(p.mail_refused_at, excluded.mail_refused_at),
    link_opened_at = coalesce(p.link_opened_at, excluded.link_opened_at),
    password_set_at = coalesce(p.password_set_at, excluded.password_set_at),
    signed_in_at = coalesce(p.signed_in_at, excluded.signed_in_at),
    support_requested_at = coalesce(p.support_requested_at, excluded.support_requested_at);
end
$$;

create function progress_of_audit() returns trigger language plpgsql as $$
begin
  perform note_progress(new.account_id, new.kind, new.at);
  return null;
end
$$;
create trigger audit_progress after insert on audit for each row
  when (new.account_id is not null and new.kind in ('link_requested', 'password_set', 'signed_in', 'support_requested'))
  execute function progress_of_audit();

create function progress_of_mails() returns trigger language plpgsql as $$
begin
  perform note_progress(new.account_id, case new.outcome when 'sent' then 'mailed' else 'mail_refused' end, new.outcome_at);
  return null;
end
$$;
create trigger mails_progress after update of outcome on mails for each row
  -- One given up without a second try was withdrawn: what it said was no longer true.
  when (new.account_id is not null and new.kind = 'set_password'
    and (new.outcome in ('sent', 'refused', 'bounced') or (new.outcome = 'given_up' and new.tries > 1)))
  execute function progress_of_mails();

create function progress_of_links() returns trigger language plpgsql as $$
begin
  perform note_progress(new.account_id, 'link_opened', new.opened_at);
  return null;
end
$$;
create trigger links_progress after update of opened_at on links for each row
  when (new.opened_at is not null)
  execute function progress_of_links();

-- What happened before this migration.
insert into progress (account_id, link_requested_at, mailed_at, mail_refused_at, password_set_at, signed_in_at,
  support_requested_at)
select a.id, e.link_requested, m.mailed, m.mail_refused, e.password_set, e.signed_in, e.support_requested
from accounts a
left join (
  select account_id, min(at) filter (where kind = 'link_requested') as link_requested,
    min(at) filter (where kind = 'password_set') as password_set, min(at) filter (where kind = 'signed_in') as signed_in,
    min(at) filter (where kind = 'support_requested') as support_requested
  from audit where kind in ('link_requested', 'password_set', 'signed_in', 'support_requested')
  group by account_id) e on e.account_id = a.id
left join (
  select account_id, min(outcome_at) filter (where outcome = 'sent') as mailed,
    min(outcome_at) filter (where outcome <> 'sent') as mail_refused
  from mails where kind = 'set_password'
    and (outcome in ('sent', 'refused', 'bounced') or (outcome = 'given_up' and tries > 1))
  group by account_id) m on m.account_id = a.id
where e.account_id is not null or m.account_id is not null;

-- dormant.ts: who was told that a dormant account will be erased, and when
create table dormancy_warnings (
  account_id uuid primary key references accounts (id) on delete cascade,
  warned_at  timestamptz not null
);
create index dormancy_warnings_time on dormancy_warnings (warned_at);
