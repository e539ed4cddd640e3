-- A new alert is an entry in fewer trees: the table of alerts is ordered by its key, only resolved alerts are looked for by
-- the time at which they were last heard of, and nothing looks for the history of one fingerprint.
DROP INDEX history_alerts_by_fingerprint;
CREATE TABLE alerts_by_key (
    fingerprint        TEXT    NOT NULL PRIMARY KEY, -- 16 hexadecimal digits
    name               TEXT    NOT NULL,             -- alertname
    target             TEXT    NOT NULL,             -- the target's name in Cachet
    critical           INTEGER NOT NULL,             -- 0 or 1
    starts_at_ms       INTEGER NOT NULL,
    state              TEXT    NOT NULL,             -- firing, resolved, inherited, resolve_held, refired
    refired_at_ms      INTEGER,                      -- only with state refired
    last_seen_ms       INTEGER NOT NULL,
    first_starts_at_ms INTEGER,
    ends_at_ms         INTEGER
) WITHOUT ROWID;
INSERT INTO alerts_by_key
SELECT fingerprint, name, target, critical, starts_at_ms, state, refired_at_ms, last_seen_ms, first_starts_at_ms, ends_at_ms
FROM alerts ORDER BY fingerprint;
DROP TABLE alerts;
ALTER TABLE alerts_by_key RENAME TO alerts;
CREATE INDEX alerts_resolved ON alerts (last_seen_ms) WHERE state = 'resolved';
