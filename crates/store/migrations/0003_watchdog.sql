-- When the watchdog was last heard, and since when it is missing (core::watchdog::Pulse).
CREATE TABLE watchdog (
    id                INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    last_heartbeat_ms INTEGER,                  -- never heard: NULL
    missing_at_ms     INTEGER                   -- while it is missing: when its absence had lasted for too long
);

-- From this step on, `episodes` also has those in which monitoring data is missing: component '', component_id 0.
