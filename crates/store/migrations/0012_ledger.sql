-- The ledger: one row for each component that was written (core::ledger). It takes the place of `applied`, and of the
-- unanswered writes to components.
CREATE TABLE ledger (
    kind              TEXT    NOT NULL,         -- component, target
    name              TEXT    NOT NULL,
    page_id           INTEGER,                  -- the component's number; NULL while it is being made
    status            INTEGER NOT NULL,
    description       TEXT,                     -- targets only
    in_doubt_since_ms INTEGER,                  -- NULL: confirmed
    unanswered        TEXT    NOT NULL,         -- JSON: values that were sent without an answer, with the time
    PRIMARY KEY (kind, name)
);

INSERT INTO ledger (kind, name, page_id, status, description, in_doubt_since_ms, unanswered)
SELECT kind, name, NULLIF(cachet_id, 0), status,
       CASE kind WHEN 'target' THEN description END,
       CASE certainty WHEN 'settled' THEN NULL ELSE written_at_ms END,
       (SELECT json_group_array(json_object('status', sent.status, 'description', sent.description,
                                            'sent_at_ms', sent.sent_at_ms))
        FROM (SELECT status, CASE applied.kind WHEN 'target' THEN description END AS description, sent_at_ms
              FROM unanswered_writes WHERE kind = 'component' AND cachet_id = applied.cachet_id
              ORDER BY number) AS sent)
FROM applied;

DROP TABLE applied;
DELETE FROM unanswered_writes WHERE kind = 'component';
