-- subjects.ts: a sub that link or unlink took from its account stays its own: no other account is ever given it
alter table subjects
  drop constraint subjects_pkey,
  drop constraint subjects_sector_sub_key,
  add primary key (sector, sub),
  add column retired_at timestamptz;
create unique index subjects_current on subjects (sector, account_id) where retired_at is null;
