-- legacy-ids.ts: whose an old id may be, where no account is tied to it; ties have an index of their own
create index legacy_ids_doubts on legacy_ids (source, legacy_id) where doubt is not null;
