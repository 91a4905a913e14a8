-- A list is compared with what is known while it is merged: what it changes is noted nowhere.
drop table import_changes;

-- account-lists.ts: read in this order, in which all rows of one address stand together
alter table import_rows drop constraint import_rows_pkey;
create index import_rows_order on import_rows ((coalesce(first_line, line)));

-- account-lists.ts: false: no row before this one has its id or its address
alter table import_rows add column again boolean not null default true;
