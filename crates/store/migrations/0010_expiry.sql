-- When an alert ended, as the resolve says that ended it last or is held (core::alert::AlertRecord). The state
-- `resolve_held` is new: a resolve came that may be an expiry, and the alert counts as firing (core::expiry).
ALTER TABLE alerts ADD COLUMN ends_at_ms INTEGER;

-- The watchdogs that notifications bring, one row a label set (core::expiry::RoutedWatchdogs).
CREATE TABLE routed_watchdogs (
    fingerprint  TEXT    NOT NULL PRIMARY KEY, -- 16 hexadecimal digits
    starts_at_ms INTEGER NOT NULL,
    heard_at_ms  INTEGER NOT NULL,             -- when a notification of it came last
    interval_ms  INTEGER                       -- from one notification to the next; NULL until two came
);
