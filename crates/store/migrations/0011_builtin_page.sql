-- The built-in page, without what only an imitation of Cachet's API needed: one table for each thing on it. What was on
-- the embedded page moves here under its numbers. AUTOINCREMENT: a number is never given twice, not even after a delete.

CREATE TABLE page_groups (
    id       INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    name     TEXT    NOT NULL,                  -- as the configuration has it
    title    TEXT,                              -- what readers see in place of the name, if an operator gave it one
    position INTEGER NOT NULL,                  -- its place on the page, smallest first
    visible  INTEGER NOT NULL,                  -- 0: hidden with all its components
    folded   INTEGER NOT NULL,                  -- 1: folded while all its components are Operational
    managed  INTEGER NOT NULL                   -- 1: this program made it
);

CREATE TABLE page_components (
    id          INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    name        TEXT    NOT NULL,
    title       TEXT,                           -- as that of a group
    description TEXT,
    status      INTEGER NOT NULL,               -- its own; incidents and maintenance change what is shown
    position    INTEGER NOT NULL,               -- its place within its group
    visible     INTEGER NOT NULL,               -- 0: of a target, or hidden by a person
    group_id    INTEGER REFERENCES page_groups (id) ON DELETE SET NULL,
    managed     INTEGER NOT NULL
);
CREATE INDEX page_components_by_group ON page_components (group_id);

CREATE TABLE page_incidents (
    id              INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    title           TEXT    NOT NULL,
    message         TEXT    NOT NULL,
    status          INTEGER NOT NULL,           -- 4: fixed
    visible         INTEGER NOT NULL,
    outage_key      TEXT,                       -- of the outage that it was opened for; NULL: a person wrote it
    opened_for      TEXT,                       -- the component that it was opened for, by name
    began_at_ms     INTEGER NOT NULL,
    created_at_ms   INTEGER NOT NULL,
    published_at_ms INTEGER NOT NULL,           -- in the future: not shown to readers yet
    fixed_at_ms     INTEGER
);
CREATE INDEX page_incidents_by_beginning ON page_incidents (began_at_ms);
CREATE INDEX page_incidents_by_end ON page_incidents (fixed_at_ms);
CREATE INDEX page_incidents_by_status ON page_incidents (status);
CREATE INDEX page_incidents_by_key ON page_incidents (outage_key);

CREATE TABLE page_maintenance (
    id              INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    title           TEXT    NOT NULL,
    message         TEXT    NOT NULL,
    begins_at_ms    INTEGER NOT NULL,
    ends_at_ms      INTEGER,                    -- NULL: when somebody ends it
    created_at_ms   INTEGER NOT NULL,
    published_at_ms INTEGER NOT NULL
);
CREATE INDEX page_maintenance_by_end ON page_maintenance (ends_at_ms);

-- The components that an incident or a maintenance is about, each with the status that readers see of it meanwhile.
CREATE TABLE page_affected (
    incident_id    INTEGER REFERENCES page_incidents (id) ON DELETE CASCADE,
    maintenance_id INTEGER REFERENCES page_maintenance (id) ON DELETE CASCADE,
    component_id   INTEGER NOT NULL REFERENCES page_components (id) ON DELETE CASCADE,
    status         INTEGER NOT NULL,
    CHECK ((incident_id IS NULL) <> (maintenance_id IS NULL)),
    UNIQUE (incident_id, component_id),
    UNIQUE (maintenance_id, component_id)
);
CREATE INDEX page_affected_by_component ON page_affected (component_id);

-- What was said about an incident or a maintenance since it was written.
CREATE TABLE page_updates (
    id             INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    incident_id    INTEGER REFERENCES page_incidents (id) ON DELETE CASCADE,
    maintenance_id INTEGER REFERENCES page_maintenance (id) ON DELETE CASCADE,
    status         INTEGER,                     -- of an incident; NULL for a maintenance
    message        TEXT    NOT NULL,
    created_at_ms  INTEGER NOT NULL,
    CHECK ((incident_id IS NULL) <> (maintenance_id IS NULL))
);
CREATE INDEX page_updates_by_incident ON page_updates (incident_id);
CREATE INDEX page_updates_by_maintenance ON page_updates (maintenance_id);

INSERT INTO page_groups (id, name, position, visible, folded, managed)
SELECT id, name, COALESCE(sort_order, 0), COALESCE(visible, 0), COALESCE(collapsed, 1) > 0,
       EXISTS (SELECT 1 FROM embedded_meta AS meta WHERE meta.kind = 'componentGroups'
               AND meta.owner_id = embedded_groups.id AND meta.name = 'managed_by'
               AND meta.matched = 'alertmanager-cachet')
FROM embedded_groups;

INSERT INTO page_components (id, name, description, status, position, visible, group_id, managed)
SELECT id, name, description, status, COALESCE(sort_order, 0), enabled, group_id,
       EXISTS (SELECT 1 FROM embedded_meta AS meta WHERE meta.kind = 'components'
               AND meta.owner_id = embedded_components.id AND meta.name = 'managed_by'
               AND meta.matched = 'alertmanager-cachet')
FROM embedded_components;

INSERT INTO page_incidents (id, title, message, status, visible, outage_key, opened_for, began_at_ms, created_at_ms,
                            published_at_ms, fixed_at_ms)
SELECT id, name, message, status, visible,
       (SELECT matched FROM embedded_meta AS meta WHERE meta.kind = 'incidents' AND meta.owner_id = embedded_incidents.id
        AND meta.name = 'episode'),
       (SELECT matched FROM embedded_meta AS meta WHERE meta.kind = 'incidents' AND meta.owner_id = embedded_incidents.id
        AND meta.name = 'component'),
       COALESCE(occurred_at_ms, created_at_ms), created_at_ms, published_at_ms,
       CASE WHEN status = 4 THEN COALESCE(
           (SELECT MAX(created_at_ms) FROM embedded_updates AS said
            WHERE said.incident_id = embedded_incidents.id AND said.status = 4), updated_at_ms) END
FROM embedded_incidents;

INSERT INTO page_maintenance (id, title, message, begins_at_ms, ends_at_ms, created_at_ms, published_at_ms)
SELECT id, name, message, scheduled_at_ms, completed_at_ms, created_at_ms, published_at_ms FROM embedded_schedules;

INSERT INTO page_affected (incident_id, component_id, status)
SELECT incident_id, component_id, status FROM embedded_incident_components;
INSERT INTO page_affected (maintenance_id, component_id, status)
SELECT schedule_id, component_id, status FROM embedded_schedule_components;

INSERT INTO page_updates (incident_id, status, message, created_at_ms)
SELECT incident_id, status, message, created_at_ms FROM embedded_updates ORDER BY id;
INSERT INTO page_updates (maintenance_id, message, created_at_ms)
SELECT schedule_id, message, created_at_ms FROM embedded_schedule_updates ORDER BY id;

DELETE FROM sqlite_sequence WHERE name IN ('page_groups', 'page_components', 'page_incidents', 'page_maintenance');
INSERT INTO sqlite_sequence (name, seq) SELECT 'page_groups', last_id FROM embedded_ids WHERE kind = 'componentGroups';
INSERT INTO sqlite_sequence (name, seq) SELECT 'page_components', last_id FROM embedded_ids WHERE kind = 'components';
INSERT INTO sqlite_sequence (name, seq) SELECT 'page_incidents', last_id FROM embedded_ids WHERE kind = 'incidents';
INSERT INTO sqlite_sequence (name, seq) SELECT 'page_maintenance', last_id FROM embedded_ids WHERE kind = 'schedules';

DROP TABLE embedded_schedule_updates;
DROP TABLE embedded_schedule_components;
DROP TABLE embedded_schedules;
DROP TABLE embedded_updates;
DROP TABLE embedded_incident_components;
DROP TABLE embedded_incidents;
DROP TABLE embedded_components;
DROP TABLE embedded_groups;
DROP TABLE embedded_meta;
DROP TABLE embedded_ids;
DROP TABLE embedded_settings;

-- The address of the page that everything else here is about.
UPDATE cachet SET address = 'built-in' WHERE address = '/api';
UPDATE made SET address = 'built-in' WHERE address = '/api';
