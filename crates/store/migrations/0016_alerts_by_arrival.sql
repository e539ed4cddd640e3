-- A new alert is a row at the end of its table, and not one at a random place: many new alerts then change few pages of the
-- file. The server knows the rows of all alerts, so nothing looks for a fingerprint.
CREATE TABLE alerts_by_arrival (
    id                 INTEGER PRIMARY KEY,
    fingerprint        TEXT    NOT NULL,             -- 16 hexadecimal digits; of one row only
    name               TEXT    NOT NULL,             -- alertname
    target             TEXT    NOT NULL,             -- the target's name in Cachet
    critical           INTEGER NOT NULL,             -- 0 or 1
    starts_at_ms       INTEGER NOT NULL,
    state              TEXT    NOT NULL,             -- firing, resolved, inherited, resolve_held, refired
    refired_at_ms      INTEGER,                      -- only with state refired
    last_seen_ms       INTEGER NOT NULL,
    first_starts_at_ms INTEGER,
    ends_at_ms         INTEGER
);
INSERT INTO alerts_by_arrival
(fingerprint, name, target, critical, starts_at_ms, state, refired_at_ms, last_seen_ms, first_starts_at_ms, ends_at_ms)
SELECT fingerprint, name, target, critical, starts_at_ms, state, refired_at_ms, last_seen_ms, first_starts_at_ms, ends_at_ms
FROM alerts ORDER BY starts_at_ms;
DROP TABLE alerts;
ALTER TABLE alerts_by_arrival RENAME TO alerts;
CREATE INDEX alerts_resolved ON alerts (last_seen_ms) WHERE state = 'resolved';
