-- A list fills `accounts` and `legacy_ids`; what each new row costs there is most of what an import takes.

-- A foreign key looks each account up again for every tie, as long as writing the tie itself. Whoever ties an id holds
-- MERGE_LOCK (accounts.ts) and has just read or made the account, and whoever erases one holds it alone: so only the other half of
-- the key is needed, that ties go with their account.
alter table legacy_ids drop constraint legacy_ids_account_id_fkey;
create function legacy_ids_go() returns trigger language plpgsql as $$
begin
  delete from legacy_ids where account_id = old.id;
  return null;
end
$$;
create trigger accounts_legacy_ids after delete on accounts for each row execute function legacy_ids_go();

-- legacy-ids.ts: one index is the key by account: one tie for each source, and of ids in doubt each once. It and the one by id
-- are all that a tie needs.
alter table legacy_ids drop constraint legacy_ids_pkey;
drop index legacy_ids_one_id;
create unique index legacy_ids_one_id on legacy_ids
  (account_id, source, (case when doubt is null then '' else legacy_id end));

-- account-lists.ts: what the list being imported changes, in the order in which it is merged; the rest stands in import_rows
drop table import_changes;
create unlogged table import_changes (
  nth        integer,                                   -- the same for all rows of one address
  line       integer,
  account_id uuid,                                      -- null: to be made
  joins      boolean not null,                          -- the account stands on other lists only
  primary key (nth, line)
);
