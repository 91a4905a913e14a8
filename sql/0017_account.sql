-- What residents change of their own account: another address, and leaving.

-- links.ts: an address is confirmed by a link to it, and its change undone by one to the address before. `email` is the one
-- that the link gives the account; `epoch` that of the account when it was asked for.
alter table links drop constraint links_purpose_check;
alter table links add column email text, add column epoch integer,
  add constraint links_purpose_check check (purpose in ('set_password', 'confirm_email', 'undo_email')),
  add constraint links_email_check check ((email is not null) = (purpose <> 'set_password'));

-- accounts.ts: the resident has asked for the account to be erased then; signing in takes it back.
alter table accounts add column leaves_at timestamptz, add column leave_reminded_at timestamptz;
create index accounts_leaving on accounts (leaves_at) where leaves_at is not null;
