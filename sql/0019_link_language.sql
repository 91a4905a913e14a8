-- links.ts: the language of the sign-in that a link comes from, where its e-service asked for one: the pages behind it speak it
-- too.
alter table links add column ui_locales text;
