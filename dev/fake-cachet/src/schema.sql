-- What the imitation stores. A column is NULL where a request left the field out and Cachet has a default: the answer to
-- the create then shows null.

CREATE TABLE IF NOT EXISTS component_groups (
    id              INTEGER NOT NULL PRIMARY KEY,
    name            TEXT    NOT NULL,
    sort_order      INTEGER,                    -- default: 0
    visible         INTEGER,                    -- 0 or 1; default: 0, hidden with all its components
    collapsed       INTEGER,                    -- 0 open, 1 folded, 2 folded unless in trouble; default: 1
    order_column    TEXT,
    order_direction TEXT,
    created_at_ms   INTEGER NOT NULL,
    updated_at_ms   INTEGER NOT NULL
);

CREATE TABLE IF NOT EXISTS components (
    id            INTEGER NOT NULL PRIMARY KEY,
    name          TEXT    NOT NULL,
    name_folded   TEXT    NOT NULL,             -- in lower case, for filter[name]
    description   TEXT,
    link          TEXT,
    status        INTEGER NOT NULL,             -- the baseline; open incidents can make the shown status worse
    sort_order    INTEGER,
    enabled       INTEGER NOT NULL,             -- 0: guests do not see it
    group_id      INTEGER REFERENCES component_groups (id) ON DELETE SET NULL,
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS components_by_group ON components (group_id, id);

CREATE TABLE IF NOT EXISTS incidents (
    id              INTEGER NOT NULL PRIMARY KEY,
    guid            TEXT    NOT NULL,
    name            TEXT    NOT NULL,
    name_folded     TEXT    NOT NULL,
    message         TEXT    NOT NULL,
    status          INTEGER NOT NULL,           -- 4: fixed
    visible         INTEGER NOT NULL,
    stickied        INTEGER NOT NULL,
    notifications   INTEGER NOT NULL,
    occurred_at_ms  INTEGER,
    published_at_ms INTEGER NOT NULL,           -- in the future: not shown to guests yet
    created_at_ms   INTEGER NOT NULL,
    updated_at_ms   INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS incidents_by_status ON incidents (status, id);

-- The status of a component while the incident is open.
CREATE TABLE IF NOT EXISTS incident_components (
    incident_id  INTEGER NOT NULL REFERENCES incidents (id) ON DELETE CASCADE,
    component_id INTEGER NOT NULL REFERENCES components (id) ON DELETE CASCADE,
    status       INTEGER NOT NULL,
    PRIMARY KEY (incident_id, component_id)
);
CREATE INDEX IF NOT EXISTS incident_components_by_component ON incident_components (component_id);

CREATE TABLE IF NOT EXISTS incident_updates (
    id            INTEGER NOT NULL PRIMARY KEY,
    incident_id   INTEGER NOT NULL REFERENCES incidents (id) ON DELETE CASCADE,
    status        INTEGER NOT NULL,
    message       TEXT    NOT NULL,
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS incident_updates_by_incident ON incident_updates (incident_id, id);

CREATE TABLE IF NOT EXISTS meta (
    kind     TEXT    NOT NULL,                  -- components, componentGroups, incidents
    owner_id INTEGER NOT NULL,
    name     TEXT    NOT NULL,
    value    TEXT    NOT NULL,                  -- JSON
    matched  TEXT    NOT NULL,                  -- the value that filter[meta][name] is compared with
    PRIMARY KEY (kind, owner_id, name)
);
CREATE INDEX IF NOT EXISTS meta_by_value ON meta (kind, name, matched);

-- Ids are never reused, not even after a delete.
CREATE TABLE IF NOT EXISTS ids (
    kind    TEXT    NOT NULL PRIMARY KEY,
    last_id INTEGER NOT NULL
);

-- Planned maintenance. The status of a schedule follows from its times.

CREATE TABLE IF NOT EXISTS schedules (
    id              INTEGER NOT NULL PRIMARY KEY,
    name            TEXT    NOT NULL,
    name_folded     TEXT    NOT NULL,             -- in lower case, for filter[name]
    message         TEXT    NOT NULL,
    scheduled_at_ms INTEGER NOT NULL,             -- when it begins
    completed_at_ms INTEGER,                      -- when it ends; NULL: when somebody ends it
    published_at_ms INTEGER NOT NULL,             -- in the future: not shown to guests yet
    created_at_ms   INTEGER NOT NULL,
    updated_at_ms   INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS schedules_by_end ON schedules (completed_at_ms, id);

-- The status of a component while the maintenance is in progress.
CREATE TABLE IF NOT EXISTS schedule_components (
    schedule_id  INTEGER NOT NULL REFERENCES schedules (id) ON DELETE CASCADE,
    component_id INTEGER NOT NULL REFERENCES components (id) ON DELETE CASCADE,
    status       INTEGER NOT NULL,
    PRIMARY KEY (schedule_id, component_id)
);
CREATE INDEX IF NOT EXISTS schedule_components_by_component ON schedule_components (component_id);

-- Their ids are shared with the updates of incidents.
CREATE TABLE IF NOT EXISTS schedule_updates (
    id            INTEGER NOT NULL PRIMARY KEY,
    schedule_id   INTEGER NOT NULL REFERENCES schedules (id) ON DELETE CASCADE,
    message       TEXT    NOT NULL,
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS schedule_updates_by_schedule ON schedule_updates (schedule_id, id);
