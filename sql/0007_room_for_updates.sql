-- Room in each page for what is updated in place, without a word in any index: the time of a sign-in, the level of a bucket.
alter table accounts set (fillfactor = 90);
alter table throttle set (fillfactor = 50);
alter table interactions set (fillfactor = 70);

-- Swept in small batches all day: cleared away after a share of the table that does not grow to millions of rows.
alter table artifacts set (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 10000);
