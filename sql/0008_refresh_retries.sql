-- How often a spent refresh token was presented again within the time in which that is taken for a retry.
alter table artifacts add column retries integer not null default 0;
