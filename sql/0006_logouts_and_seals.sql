-- Telling e-services that a session has ended (OpenID Connect Back-Channel Logout 1.0).

-- Whom to tell, and what became of it. `sub` is the one that the e-service knew when the session ended.
create table logouts (
  client_id text not null,
  sid text not null,
  account_id uuid not null,
  sub text,
  ended_at timestamptz not null,
  attempts integer not null default 0,
  outcome text check (outcome in ('delivered', 'refused', 'given_up', 'gone')),
  reason text,
  settled_at timestamptz,
  primary key (client_id, sid)
);
create index logouts_ended on logouts (ended_at);

-- A row is its own order: whoever writes one need not remember the queue. One queue for each e-service, so that one that
-- stalls holds one worker at most. 13 tries with the queue's growing pauses take some 22 hours.
create function queue_logout() returns trigger language plpgsql as $$
begin
  perform graphile_worker.add_job('logout', json_build_object('clientId', new.client_id, 'sid', new.sid),
    queue_name := 'logout-' || md5(new.client_id), max_attempts := 13, priority := 20);
  return null;
end
$$;
create trigger logouts_queued after insert on logouts for each row execute function queue_logout();

-- Whatever raises an account's epoch or deletes the account ends its sessions. The pause lets the resident who changed the
-- password carry this browser's own session on; until then the session is dead already, and only its e-services don't know.
create function queue_session_ends() returns trigger language plpgsql as $$
begin
  if exists (select 1 from artifacts where account_id = old.id and model = 'Session') then
    perform graphile_worker.add_job('end_sessions', json_build_object('accountId', old.id),
      run_at := now() + interval '5 seconds', job_key := 'end_sessions:' || old.id, priority := 20);
  end if;
  return null;
end
$$;
create trigger accounts_epoch_raised after update of epoch on accounts
  for each row when (new.epoch <> old.epoch) execute function queue_session_ends();
create trigger accounts_deleted after delete on accounts for each row execute function queue_session_ends();

-- The key of all digests in the database: one row, sealed, so that it outlives a change of `secret`.
create table digest_keys (
  one boolean primary key default true check (one),
  sealed text not null
);
