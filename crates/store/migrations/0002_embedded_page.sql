-- The embedded page: components, groups, incidents and updates as Cachet's API knows them. Columns that may be NULL
-- where Cachet has a default tell "not said" from "said", as Cachet's first answer to a create does.

CREATE TABLE embedded_groups (
    id              INTEGER NOT NULL PRIMARY KEY,
    name            TEXT    NOT NULL,
    sort_order      INTEGER,                    -- not said: 0
    visible         INTEGER,                    -- 0 or 1; not said: 0, hidden with all its components
    collapsed       INTEGER,                    -- 0 open, 1 folded, 2 folded unless in trouble; not said: 1
    order_column    TEXT,
    order_direction TEXT,
    created_at_ms   INTEGER NOT NULL,
    updated_at_ms   INTEGER NOT NULL
);

CREATE TABLE embedded_components (
    id            INTEGER NOT NULL PRIMARY KEY,
    name          TEXT    NOT NULL,
    name_folded   TEXT    NOT NULL,             -- in lower case, for filter[name]
    description   TEXT,
    link          TEXT,
    status        INTEGER NOT NULL,             -- the baseline; open incidents can make what is shown worse
    sort_order    INTEGER,
    enabled       INTEGER NOT NULL,             -- 0: neither on the page nor shown to guests
    group_id      INTEGER REFERENCES embedded_groups (id) ON DELETE SET NULL,
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL
);
CREATE INDEX embedded_components_by_group ON embedded_components (group_id, id);

CREATE TABLE embedded_incidents (
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
CREATE INDEX embedded_incidents_by_status ON embedded_incidents (status, id);

-- What an incident does to a component while it is open.
CREATE TABLE embedded_incident_components (
    incident_id  INTEGER NOT NULL REFERENCES embedded_incidents (id) ON DELETE CASCADE,
    component_id INTEGER NOT NULL REFERENCES embedded_components (id) ON DELETE CASCADE,
    status       INTEGER NOT NULL,
    PRIMARY KEY (incident_id, component_id)
);
CREATE INDEX embedded_incident_components_by_component ON embedded_incident_components (component_id);

CREATE TABLE embedded_updates (
    id            INTEGER NOT NULL PRIMARY KEY,
    incident_id   INTEGER NOT NULL REFERENCES embedded_incidents (id) ON DELETE CASCADE,
    status        INTEGER NOT NULL,
    message       TEXT    NOT NULL,
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL
);
CREATE INDEX embedded_updates_by_incident ON embedded_updates (incident_id, id);

CREATE TABLE embedded_meta (
    kind     TEXT    NOT NULL,                  -- components, componentGroups, incidents
    owner_id INTEGER NOT NULL,
    name     TEXT    NOT NULL,
    value    TEXT    NOT NULL,                  -- JSON
    matched  TEXT    NOT NULL,                  -- what filter[meta][name] is compared with
    PRIMARY KEY (kind, owner_id, name)
);
CREATE INDEX embedded_meta_by_value ON embedded_meta (kind, name, matched);

-- Ids are never given twice, not even after a delete.
CREATE TABLE embedded_ids (
    kind    TEXT    NOT NULL PRIMARY KEY,
    last_id INTEGER NOT NULL
);

CREATE TABLE embedded_settings (
    name  TEXT NOT NULL PRIMARY KEY,            -- token
    value TEXT NOT NULL
);
