-- What all migrations add up to. A picture, never run: `npm run schema` draws it.

create table accounts (
  id uuid not null default uuid_v7(),
  email text not null,
  email_key text not null,
  email_verified boolean not null default false,
  given_name text,
  family_name text,
  phone_number text,
  locale text,
  password_state text not null default 'none'::text,
  password_hash text,
  password_list text,
  locked_at timestamp with time zone,
  epoch integer not null default 0,
  created_at timestamp with time zone not null,
  updated_at timestamp with time zone not null,
  signed_in_at timestamp with time zone,
  leaves_at timestamp with time zone,
  leave_reminded_at timestamp with time zone,
  factors text[],
  two_steps boolean not null default false,
  passkey_offer_after timestamp with time zone,
  constraint accounts_pkey PRIMARY KEY (id),
  constraint accounts_email_key_key UNIQUE (email_key),
  constraint accounts_check CHECK (((password_hash IS NULL) = (password_state = 'none'::text))),
  constraint accounts_check1 CHECK (((password_list IS NOT NULL) = (password_state = 'list'::text))),
  constraint accounts_factors_check CHECK ((factors <@ ARRAY['passkey'::text, 'authenticator'::text])),
  constraint accounts_password_state_check CHECK ((password_state = ANY (ARRAY['none'::text, 'list'::text, 'own'::text])))
);
CREATE INDEX accounts_leaving ON public.accounts USING btree (leaves_at) WHERE (leaves_at IS NOT NULL);
CREATE INDEX accounts_to_wrap ON public.accounts USING btree (id) WHERE (password_hash ~~ 'sealed:%'::text);

create table artifacts (
  id bytea not null,
  model text not null,
  payload text not null,
  account_id uuid,
  epoch integer,
  client_id text,
  grant_hash bytea,
  uid_hash bytea,
  consumed_at timestamp with time zone,
  expires_at timestamp with time zone not null,
  retries integer not null default 0,
  constraint artifacts_pkey PRIMARY KEY (id)
);
CREATE INDEX artifacts_account ON public.artifacts USING btree (account_id) WHERE (model = ANY (ARRAY['Session'::text, 'Grant'::text]));
CREATE INDEX artifacts_expiry ON public.artifacts USING btree (expires_at);
CREATE INDEX artifacts_grant ON public.artifacts USING btree (grant_hash) WHERE (grant_hash IS NOT NULL);
CREATE INDEX artifacts_session_expiry ON public.artifacts USING btree (expires_at) WHERE (model = 'Session'::text);
CREATE UNIQUE INDEX artifacts_session_uid ON public.artifacts USING btree (uid_hash) WHERE (uid_hash IS NOT NULL);

create table audit (
  id bigint not null default nextval('audit_ids'::regclass),
  written_at timestamp with time zone not null default clock_timestamp(),
  at timestamp with time zone not null,
  kind text not null,
  account_id uuid,
  client_id text,
  actor text not null default 'resident'::text,
  place text,
  device jsonb,
  detail jsonb not null default '{}'::jsonb,
  salt bytea,
  personal_hash bytea not null,
  constraint audit_pkey PRIMARY KEY (written_at, id)
) partition by RANGE (written_at);
CREATE INDEX audit_account ON ONLY public.audit USING btree (account_id, at DESC, id DESC);
CREATE INDEX audit_time ON ONLY public.audit USING brin (at);

create table audit_seals (
  nth bigint not null,
  minute timestamp with time zone not null,
  events integer not null,
  digest bytea not null,
  anchor bytea,
  constraint audit_seals_pkey PRIMARY KEY (nth)
);

create table authenticators (
  account_id uuid not null,
  sealed text not null,
  last_step bigint not null,
  created_at timestamp with time zone not null,
  used_at timestamp with time zone,
  constraint authenticators_pkey PRIMARY KEY (account_id),
  constraint authenticators_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts(id) ON DELETE CASCADE
);

create table devices (
  account_id uuid not null,
  browser text not null,
  system text not null,
  seen_at timestamp with time zone not null,
  constraint devices_pkey PRIMARY KEY (account_id, browser, system),
  constraint devices_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts(id) ON DELETE CASCADE
);
CREATE INDEX devices_age ON public.devices USING btree (seen_at);

create table digest_keys (
  one boolean not null default true,
  sealed text not null,
  constraint digest_keys_pkey PRIMARY KEY (one),
  constraint digest_keys_one_check CHECK (one)
);

create table dormancy_warnings (
  account_id uuid not null,
  warned_at timestamp with time zone not null,
  constraint dormancy_warnings_pkey PRIMARY KEY (account_id),
  constraint dormancy_warnings_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts(id) ON DELETE CASCADE
);
CREATE INDEX dormancy_warnings_time ON public.dormancy_warnings USING btree (warned_at);

create table erasures (
  kind text not null,
  digest bytea not null,
  erased_at timestamp with time zone not null,
  constraint erasures_pkey PRIMARY KEY (kind, digest),
  constraint erasures_kind_check CHECK ((kind = ANY (ARRAY['email'::text, 'legacy_id'::text, 'account'::text])))
);

create table factor_removals (
  account_id uuid not null,
  factor text not null,
  actor text not null,
  token_hash bytea not null,
  asked_at timestamp with time zone not null,
  due_at timestamp with time zone not null,
  constraint factor_removals_pkey PRIMARY KEY (account_id),
  constraint factor_removals_token_hash_key UNIQUE (token_hash),
  constraint factor_removals_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts(id) ON DELETE CASCADE
);
CREATE INDEX factor_removals_due ON public.factor_removals USING btree (due_at);

create table import_rows (
  line integer not null,
  legacy_id text,
  email text,
  email_key text,
  given_name text,
  family_name text,
  phone_number text,
  locale text,
  created_at timestamp with time zone,
  password_hash text,
  problem text,
  doubt text,
  hash_problem text,
  name_mismatch boolean not null default false,
  detail text,
  first_line integer,
  erased boolean not null default false,
  again boolean not null default true
);
CREATE INDEX import_rows_again ON public.import_rows USING btree (line) INCLUDE (legacy_id, email_key) WHERE again;
CREATE INDEX import_rows_erased ON public.import_rows USING btree (line) WHERE erased;
CREATE INDEX import_rows_order ON public.import_rows USING btree (COALESCE(first_line, line));
CREATE INDEX import_rows_told ON public.import_rows USING btree (line) WHERE ((problem IS NOT NULL) OR (doubt IS NOT NULL) OR (hash_problem IS NOT NULL) OR name_mismatch);

create table interactions (
  uid_hash bytea not null,
  payload text not null,
  facts text not null default '{}'::text,
  account_id uuid,
  epoch integer,
  created_at timestamp with time zone not null,
  expires_at timestamp with time zone not null,
  constraint interactions_pkey PRIMARY KEY (uid_hash)
);
CREATE INDEX interactions_expiry ON public.interactions USING btree (expires_at);

create table legacy_ids (
  source text not null,
  legacy_id text not null,
  account_id uuid not null,
  doubt text,
  created_at timestamp with time zone not null,
  constraint legacy_ids_doubt_check CHECK ((doubt = ANY (ARRAY['shared_email'::text, 'unusable_legacy_id'::text, 'mixed_script'::text, 'unlinked'::text])))
);
CREATE INDEX legacy_ids_doubts ON public.legacy_ids USING btree (source, legacy_id) WHERE (doubt IS NOT NULL);
CREATE UNIQUE INDEX legacy_ids_one_id ON public.legacy_ids USING btree (account_id, source, (
CASE
    WHEN (doubt IS NULL) THEN ''::text
    ELSE legacy_id
END));
CREATE UNIQUE INDEX legacy_ids_one_owner ON public.legacy_ids USING btree (source, legacy_id) WHERE (doubt IS NULL);

create table links (
  id uuid not null default gen_random_uuid(),
  token_hash bytea not null,
  account_id uuid not null,
  purpose text not null,
  client_id text,
  interaction_uid text,
  created_at timestamp with time zone not null,
  expires_at timestamp with time zone not null,
  spent_at timestamp with time zone,
  ended_at timestamp with time zone,
  opened_at timestamp with time zone,
  email text,
  epoch integer,
  ui_locales text,
  constraint links_pkey PRIMARY KEY (id),
  constraint links_token_hash_key UNIQUE (token_hash),
  constraint links_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts(id) ON DELETE CASCADE,
  constraint links_email_check CHECK (((email IS NOT NULL) = (purpose <> 'set_password'::text))),
  constraint links_purpose_check CHECK ((purpose = ANY (ARRAY['set_password'::text, 'confirm_email'::text, 'undo_email'::text])))
);
CREATE INDEX links_account ON public.links USING btree (account_id, created_at DESC);
CREATE INDEX links_expiry ON public.links USING btree (expires_at);

create table logouts (
  client_id text not null,
  sid text not null,
  account_id uuid not null,
  sub text,
  ended_at timestamp with time zone not null,
  attempts integer not null default 0,
  outcome text,
  reason text,
  settled_at timestamp with time zone,
  constraint logouts_pkey PRIMARY KEY (client_id, sid),
  constraint logouts_outcome_check CHECK ((outcome = ANY (ARRAY['delivered'::text, 'refused'::text, 'given_up'::text, 'gone'::text])))
);
CREATE INDEX logouts_ended ON public.logouts USING btree (ended_at);

create table mail_pace (
  lane text not null,
  gap double precision not null,
  warm_up double precision not null,
  began_at timestamp with time zone not null,
  turn_at timestamp with time zone not null,
  constraint mail_pace_pkey PRIMARY KEY (lane)
);
CREATE INDEX mail_pace_turn ON public.mail_pace USING btree (turn_at);

create table mails (
  id uuid not null default gen_random_uuid(),
  account_id uuid,
  kind text not null,
  queued_at timestamp with time zone not null,
  outcome text not null default 'queued'::text,
  outcome_at timestamp with time zone not null,
  tries integer not null default 0,
  reply integer,
  status text,
  turn_at timestamp with time zone,
  step text,
  constraint mails_pkey PRIMARY KEY (id),
  constraint mails_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts(id) ON DELETE CASCADE,
  constraint mails_outcome_check CHECK ((outcome = ANY (ARRAY['queued'::text, 'sent'::text, 'delayed'::text, 'refused'::text, 'given_up'::text, 'bounced'::text]))),
  constraint mails_reply_check CHECK (((reply >= 200) AND (reply <= 599))),
  constraint mails_status_check CHECK ((status ~ '^[245]\.[0-9]{1,3}\.[0-9]{1,3}$'::text)),
  constraint mails_step_check CHECK ((step = ANY (ARRAY['connection'::text, 'login'::text, 'sender'::text, 'recipient'::text, 'message'::text])))
);
CREATE INDEX mails_account ON public.mails USING btree (account_id, queued_at DESC);
CREATE INDEX mails_failed ON public.mails USING btree (outcome_at) WHERE (outcome = ANY (ARRAY['refused'::text, 'given_up'::text, 'bounced'::text]));
CREATE INDEX mails_queued ON public.mails USING btree (queued_at);
CREATE INDEX mails_waiting ON public.mails USING btree (queued_at) WHERE (outcome = ANY (ARRAY['queued'::text, 'delayed'::text]));

create table migrations (
  number integer not null,
  applied_at timestamp with time zone not null,
  constraint migrations_pkey PRIMARY KEY (number)
);

create table nodes (
  id uuid not null,
  name text not null,
  version text not null,
  configuration text not null,
  started_at timestamp with time zone not null,
  seen_at timestamp with time zone not null,
  stopping boolean not null default false,
  constraint nodes_pkey PRIMARY KEY (id)
);

create table passkeys (
  id uuid not null default gen_random_uuid(),
  account_id uuid not null,
  credential_id bytea not null,
  public_key bytea not null,
  counter bigint not null,
  backup_eligible boolean not null,
  backed_up boolean not null,
  transports text[] not null,
  name text not null,
  challenge text,
  created_at timestamp with time zone not null,
  used_at timestamp with time zone,
  constraint passkeys_pkey PRIMARY KEY (id),
  constraint passkeys_credential_id_key UNIQUE (credential_id),
  constraint passkeys_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts(id) ON DELETE CASCADE
);
CREATE INDEX passkeys_account ON public.passkeys USING btree (account_id);

create table progress (
  account_id uuid not null,
  link_requested_at timestamp with time zone,
  mailed_at timestamp with time zone,
  mail_refused_at timestamp with time zone,
  link_opened_at timestamp with time zone,
  password_set_at timestamp with time zone,
  signed_in_at timestamp with time zone,
  support_requested_at timestamp with time zone,
  constraint progress_pkey PRIMARY KEY (account_id),
  constraint progress_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts(id) ON DELETE CASCADE
);

create table recovery_codes (
  account_id uuid not null,
  digest bytea not null,
  created_at timestamp with time zone not null,
  spent_at timestamp with time zone,
  constraint recovery_codes_pkey PRIMARY KEY (account_id, digest),
  constraint recovery_codes_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts(id) ON DELETE CASCADE
);

create table registrations (
  token_hash bytea not null,
  account_id uuid not null default uuid_v7(),
  email text not null,
  email_key text not null,
  locale text not null,
  client_id text,
  interaction_uid text,
  created_at timestamp with time zone not null,
  expires_at timestamp with time zone not null,
  spent_at timestamp with time zone,
  constraint registrations_pkey PRIMARY KEY (token_hash)
);
CREATE INDEX registrations_email ON public.registrations USING btree (email_key);
CREATE INDEX registrations_expiry ON public.registrations USING btree (expires_at);

create table services (
  account_id uuid not null,
  client_id text not null,
  given jsonb not null,
  agreed_at timestamp with time zone,
  first_at timestamp with time zone not null,
  last_at timestamp with time zone not null,
  constraint services_pkey PRIMARY KEY (account_id, client_id),
  constraint services_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts(id) ON DELETE CASCADE
);

create table signing_keys (
  kid text not null,
  alg text not null,
  public_jwk jsonb not null,
  private_jwk text,
  published_at timestamp with time zone not null,
  active_at timestamp with time zone not null,
  retires_at timestamp with time zone not null,
  removed_at timestamp with time zone not null,
  constraint signing_keys_pkey PRIMARY KEY (kid)
);

create table subjects (
  sector text not null,
  account_id uuid not null,
  sub text not null,
  created_at timestamp with time zone not null,
  retired_at timestamp with time zone,
  constraint subjects_pkey PRIMARY KEY (sector, sub)
);
CREATE INDEX subjects_account ON public.subjects USING btree (account_id);
CREATE UNIQUE INDEX subjects_current ON public.subjects USING btree (sector, account_id) WHERE (retired_at IS NULL);

create table throttle (
  key text not null,
  points double precision not null,
  updated_at timestamp with time zone not null,
  expires_at timestamp with time zone not null,
  constraint throttle_pkey PRIMARY KEY (key)
);
CREATE INDEX throttle_expiry ON public.throttle USING btree (expires_at);
