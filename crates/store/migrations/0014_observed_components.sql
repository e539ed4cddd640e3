-- The components of the page as they were read last, one row each (JSON), so that a changed one is written alone. What
-- else was read stays in `observed`.
CREATE TABLE observed_components (
    id        INTEGER NOT NULL PRIMARY KEY,
    component TEXT    NOT NULL
);

-- What cannot be read is no reason to refuse the start: the page is read again.
UPDATE observed SET snapshot = '{"groups":[],"components":[],"open_incidents":[]}'
WHERE NOT json_valid(snapshot) OR json_type(snapshot, '$.components') IS NOT 'array';

INSERT OR REPLACE INTO observed_components (id, component)
SELECT json_extract(component.value, '$.id'), component.value
FROM observed, json_each(observed.snapshot, '$.components') AS component;

UPDATE observed SET snapshot = json_set(snapshot, '$.components', json('[]'));
