-- Outages, each with the row of its incident in the ledger (core::outage). They take the place of `episodes` and of
-- `unanswered_writes`.
CREATE TABLE outages (
    key               TEXT    NOT NULL PRIMARY KEY,
    component         TEXT    NOT NULL,         -- of the monitoring: empty
    component_id      INTEGER NOT NULL,         -- of the monitoring: 0
    occurred_at_ms    INTEGER NOT NULL,
    began_at_ms       INTEGER NOT NULL,
    calm_since_ms     INTEGER,                  -- during the recovery hold
    ended_at_ms       INTEGER,                  -- NULL: it goes on
    ended_by          TEXT,                     -- recovery, person, removal, unopened
    incident_id       INTEGER,                  -- NULL: not known
    value             TEXT,                     -- created, reopened, fixed; NULL: nothing was sent
    title             TEXT,                     -- of a created one
    in_doubt_since_ms INTEGER,                  -- NULL: confirmed
    unanswered        TEXT    NOT NULL          -- JSON: values that were sent without an answer, with the time
);

-- One row for each posting that was lost, and for each write to an incident that was not answered.
CREATE TEMPORARY TABLE sent AS
WITH RECURSIVE posting (key, title, sent_at_ms, number) AS (
    SELECT key, COALESCE(lost_title, ''), lost_missed_at_ms, lost_count FROM episodes WHERE lost_count > 0
    UNION ALL
    SELECT key, title, sent_at_ms, number - 1 FROM posting WHERE number > 1
)
SELECT key, 0 AS place, json_object('value', 'created', 'title', title, 'sent_at_ms', sent_at_ms) AS write FROM posting
UNION ALL
SELECT key, 0, json_object('value', 'created', 'title', '', 'sent_at_ms', CAST(strftime('%s', 'now') AS INTEGER) * 1000)
FROM episodes WHERE phase = 'opening'
UNION ALL
-- A number may be that of several episodes, also of another Cachet: the write belongs to the last of its component. One that
-- a person has closed stays closed.
SELECT episodes.key, unanswered_writes.number,
       json_object('value', CASE unanswered_writes.status WHEN 4 THEN 'fixed' ELSE 'reopened' END,
                   'title', NULL, 'sent_at_ms', unanswered_writes.sent_at_ms)
FROM unanswered_writes
JOIN episodes ON episodes.incident_id = unanswered_writes.cachet_id AND episodes.component = unanswered_writes.component
WHERE unanswered_writes.kind = 'incident'
  AND NOT (episodes.phase = 'closed_by_person' AND unanswered_writes.status = 4)
  AND NOT EXISTS (
      SELECT 1 FROM episodes AS later
      WHERE later.incident_id = episodes.incident_id AND later.component = episodes.component
        AND (later.began_at_ms, later.key) > (episodes.began_at_ms, episodes.key)
  );

INSERT INTO outages (key, component, component_id, occurred_at_ms, began_at_ms, calm_since_ms, ended_at_ms, ended_by,
                     incident_id, value, title, in_doubt_since_ms, unanswered)
SELECT key, component, component_id, occurred_at_ms, began_at_ms, calm_since_ms,
       -- A relapse does not continue what had ended.
       CASE phase WHEN 'closed' THEN closed_at_ms WHEN 'ended' THEN 0 END,
       CASE WHEN phase IN ('closed', 'ended') THEN COALESCE(ended_by, 'recovery') END,
       incident_id,
       CASE
           WHEN phase IN ('closing', 'closed') OR (phase = 'ended' AND incident_id IS NOT NULL) THEN 'fixed'
           WHEN phase = 'reopening' THEN 'reopened'
           ELSE 'created'
       END,
       COALESCE(lost_title, ''),
       CASE
           WHEN phase = 'opening' THEN CAST(strftime('%s', 'now') AS INTEGER) * 1000
           WHEN phase IN ('closing', 'reopening') THEN began_at_ms
           -- A posting that was answered with 500 may have been carried out: it is looked up.
           WHEN incident_id IS NULL THEN COALESCE(lost_missed_at_ms, 0)
       END,
       (SELECT json_group_array(json(write)) FROM (SELECT write FROM sent WHERE sent.key = episodes.key ORDER BY place))
FROM episodes
WHERE phase <> 'ended' OR key IN (SELECT key FROM sent);

DROP TABLE sent;
DROP TABLE episodes;
DROP TABLE unanswered_writes;
