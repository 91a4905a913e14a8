-- A list is compared with what is known while it is merged: what it changes is noted nowhere.
drop table import_changes;

-- account-lists.ts: read in this order, in which all rows of one address stand together
alter table import_rows drop constraint import_rows_pkey;
create index import_rows_order on import_rows ((coalesce(first_line, line)));

-- account-lists.ts: false: no row before this one has its id or its address
alter table import_rows add column again boolean not null default true;

-- accounts.ts: an erased account does not come back from an old export under an address that it no longer had
alter table erasures drop constraint erasures_kind_check,
  add constraint erasures_kind_check check (kind in ('email', 'legacy_id', 'account'));
