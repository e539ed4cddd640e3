-- What is known of each alert, all statements about it taken together (core::alert::AlertRecord).
CREATE TABLE alerts (
    fingerprint   TEXT    NOT NULL PRIMARY KEY, -- 16 hexadecimal digits
    name          TEXT    NOT NULL,             -- alertname
    target        TEXT    NOT NULL,             -- the target's name in Cachet
    critical      INTEGER NOT NULL,             -- 0 or 1
    starts_at_ms  INTEGER NOT NULL,
    state         TEXT    NOT NULL,             -- firing, resolved, refired
    refired_at_ms INTEGER,                      -- only with state refired
    last_seen_ms  INTEGER NOT NULL
);
CREATE INDEX alerts_by_state ON alerts (state, last_seen_ms);

-- What was last written to Cachet, or found there as it should be.
CREATE TABLE applied (
    kind          TEXT    NOT NULL,             -- component, target
    name          TEXT    NOT NULL,
    cachet_id     INTEGER NOT NULL,
    status        INTEGER NOT NULL,
    description   TEXT    NOT NULL,             -- targets only, else empty
    certainty     TEXT    NOT NULL,             -- settled, pending
    written_at_ms INTEGER NOT NULL,
    PRIMARY KEY (kind, name)
);

-- One row a stretch of Major Outage of a component. The key is made and kept before the incident is posted, so that
-- an incident whose answer was lost is found again instead of being posted twice.
CREATE TABLE episodes (
    key            TEXT    NOT NULL PRIMARY KEY,
    component      TEXT    NOT NULL,
    component_id   INTEGER NOT NULL,
    occurred_at_ms INTEGER NOT NULL,
    began_at_ms    INTEGER NOT NULL,
    phase          TEXT    NOT NULL,            -- opening, open, closing, closed_by_person, closed, reopening, ended
    incident_id    INTEGER,
    calm_since_ms  INTEGER,                     -- while a recovery is waited out
    closed_at_ms   INTEGER,                     -- only with phase closed
    ended_at_ms    INTEGER,
    ended_by       TEXT                         -- recovery, person, unopened
);
CREATE INDEX episodes_by_phase ON episodes (phase, component);

-- Which Cachet all of this is about: numbers of one mean nothing in another.
CREATE TABLE cachet (
    id      INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    address TEXT    NOT NULL
);

-- What Cachet showed when it was last read (JSON), for explaining.
CREATE TABLE observed (
    id          INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    snapshot    TEXT    NOT NULL,
    taken_at_ms INTEGER NOT NULL
);
