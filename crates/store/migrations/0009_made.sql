-- The groups and components that this program made in a Cachet without meta, where nothing else says whose they are.
CREATE TABLE made (
    address   TEXT    NOT NULL,                 -- the base of that Cachet's API
    kind      TEXT    NOT NULL,                 -- component, group
    cachet_id INTEGER NOT NULL,
    name      TEXT    NOT NULL,
    PRIMARY KEY (address, kind, cachet_id)
);
