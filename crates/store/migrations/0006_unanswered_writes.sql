-- Writes to Cachet of which no answer is known, and which it may carry out yet (core::plan::UnansweredWrite): kept before
-- they are sent, removed when they are answered, have turned up, or are not to be expected any more.
CREATE TABLE unanswered_writes (
    number       INTEGER NOT NULL PRIMARY KEY, -- in the order in which they were sent
    kind         TEXT    NOT NULL,             -- component, incident
    cachet_id    INTEGER NOT NULL,
    status       INTEGER NOT NULL,             -- what it asked for
    description  TEXT    NOT NULL,             -- of a target's component, else empty
    component    TEXT    NOT NULL,             -- what the incident is about, as in `episodes`; of a component: empty
    component_id INTEGER NOT NULL,
    sent_at_ms   INTEGER NOT NULL
);
