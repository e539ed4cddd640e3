-- The embedded page: planned maintenance (Cachet: schedules) as Cachet's API knows it. How far one is follows from its
-- times.

CREATE TABLE embedded_schedules (
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
CREATE INDEX embedded_schedules_by_end ON embedded_schedules (completed_at_ms, id);

-- What is shown of a component while the maintenance is in progress.
CREATE TABLE embedded_schedule_components (
    schedule_id  INTEGER NOT NULL REFERENCES embedded_schedules (id) ON DELETE CASCADE,
    component_id INTEGER NOT NULL REFERENCES embedded_components (id) ON DELETE CASCADE,
    status       INTEGER NOT NULL,
    PRIMARY KEY (schedule_id, component_id)
);
CREATE INDEX embedded_schedule_components_by_component ON embedded_schedule_components (component_id);

-- Numbered together with the updates of incidents.
CREATE TABLE embedded_schedule_updates (
    id            INTEGER NOT NULL PRIMARY KEY,
    schedule_id   INTEGER NOT NULL REFERENCES embedded_schedules (id) ON DELETE CASCADE,
    message       TEXT    NOT NULL,
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL
);
CREATE INDEX embedded_schedule_updates_by_schedule ON embedded_schedule_updates (schedule_id, id);
