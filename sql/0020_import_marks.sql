-- account-lists.ts: of a million rows a few are marked, while they are read or compared: found without reading all of them again
create index import_rows_again on import_rows (line) include (legacy_id, email_key) where again;
create index import_rows_erased on import_rows (line) where erased;
create index import_rows_told on import_rows (line)
  where problem is not null or doubt is not null or hash_problem is not null or name_mismatch;
