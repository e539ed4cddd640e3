-- What happened, for `history_days`. Rows are only added, and removed when they are too old; `id` is the order in which
-- they were kept, which a clock that is set back does not change.

-- What was learned of alerts and changed something (core::history::AlertHappening). It is enough to play them again.
CREATE TABLE history_alerts (
    id           INTEGER NOT NULL PRIMARY KEY,
    at_ms        INTEGER NOT NULL,              -- when it was learned
    fingerprint  TEXT    NOT NULL,
    name         TEXT    NOT NULL,              -- alertname
    target       TEXT    NOT NULL,              -- the target's name in Cachet
    critical     INTEGER NOT NULL,              -- 0 or 1
    starts_at_ms INTEGER NOT NULL,
    turn         TEXT    NOT NULL,              -- fired, resolved, held, withdrawn, confirmed
    source       TEXT    NOT NULL               -- notification, page, or why Alertmanager's list corrected it
);
CREATE INDEX history_alerts_by_time ON history_alerts (at_ms);
CREATE INDEX history_alerts_by_fingerprint ON history_alerts (fingerprint);

-- What is not over as the history begins. Only roughly is it known when it was learned: when the alert began to fire.
INSERT INTO history_alerts (at_ms, fingerprint, name, target, critical, starts_at_ms, turn, source)
SELECT CASE WHEN state = 'refired' THEN refired_at_ms WHEN starts_at_ms < last_seen_ms THEN starts_at_ms
            ELSE last_seen_ms END AS learned_at_ms,
       fingerprint, name, target, critical, starts_at_ms,
       CASE WHEN state = 'refired' THEN 'held' ELSE 'fired' END,
       CASE WHEN state = 'inherited' THEN 'page' ELSE 'notification' END
FROM alerts WHERE state <> 'resolved' ORDER BY learned_at_ms, fingerprint;

-- What happened to a component, or with component '' to the server and its monitoring (core::history::Event).
CREATE TABLE history_events (
    id        INTEGER NOT NULL PRIMARY KEY,
    at_ms     INTEGER NOT NULL,
    component TEXT    NOT NULL,
    kind      TEXT    NOT NULL,                 -- the word of the event
    detail    TEXT    NOT NULL                  -- the event (JSON)
);
CREATE INDEX history_events_by_component ON history_events (component, kind, at_ms);
CREATE INDEX history_events_by_time ON history_events (at_ms);

INSERT INTO history_events (at_ms, component, kind, detail)
SELECT missing_at_ms, '', 'watchdog_missing',
       '{"event":"watchdog_missing","since_ms":' || COALESCE(last_heartbeat_ms, missing_at_ms) || '}'
FROM watchdog WHERE missing_at_ms IS NOT NULL;

-- When the server last looked, so that the time in which it did not run is told from one in which nothing happened; and
-- from when on all that happened is kept. Of what was before, only that is kept which was not over by then.
CREATE TABLE history_looked (
    id      INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    at_ms   INTEGER NOT NULL,
    from_ms INTEGER NOT NULL
);

-- Components that an operator holds at a status (core::hold::Hold).
CREATE TABLE holds (
    component TEXT    NOT NULL PRIMARY KEY,
    status    INTEGER NOT NULL,
    since_ms  INTEGER NOT NULL,
    until_ms  INTEGER NOT NULL,
    held_by   TEXT    NOT NULL,                 -- the user's name
    note      TEXT    NOT NULL                  -- why, in the user's words; may be empty
);
