/** A city in a few statements: accounts with all that hangs on each, for what must cost the same however many there are. */
import { sql, type Database } from '../../src/platform/database.ts';

/** `many1@example.com` and on, with the old ids `M1` and on at asiointi; `gone1@…` and on is noise in `erasures`. */
export async function manyAccounts(database: Database, howMany: number): Promise<void> {
  await database.session(async (session) => {
    await session.query(sql`
      insert into accounts (email, email_key, created_at, updated_at)
      select 'many' || n || '@example.com', 'many' || n || '@example.com', now(), now()
      from generate_series(1, ${howMany}::int) as n`);
    await session.script(`
      create temporary table many as
        select id, substr(split_part(email, '@', 1), 5)::int as n from accounts where email like 'many%';
      insert into legacy_ids (source, legacy_id, account_id, created_at) select 'asiointi', 'M' || n, id, now() from many;
      insert into subjects (sector, account_id, sub, created_at) select 'legacy:asiointi', id, 'M' || n, now() from many;
      insert into links (token_hash, account_id, purpose, created_at, expires_at)
        select sha256(convert_to(n::text, 'UTF8')), id, 'set_password', now(), now() + interval '1 day' from many;
      insert into mails (account_id, kind, queued_at, outcome_at)
        select id, 'set_password', now() - n * interval '1 second', now() from many;
      insert into audit (at, kind, account_id) select now() - n * interval '1 second', 'signed_in', id from many;
      insert into throttle (key, points, updated_at, expires_at)
        select 'password:address:' || n, 0.1, now(), now() + interval '1 hour' from many;
      insert into erasures (kind, digest, erased_at) select 'email', sha256(convert_to(n::text, 'UTF8')), now() from many;
      insert into artifacts (id, model, payload, account_id, epoch, uid_hash, expires_at)
        select sha256(convert_to('s' || n, 'UTF8')), 'Session', '{"authorizations":{"asiointi":{}}}', id, 0,
          sha256(convert_to('u' || n, 'UTF8')), now() + interval '1 day' from many;
      analyze`);
  });
}
