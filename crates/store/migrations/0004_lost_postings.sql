-- Postings of an episode's incident that got no answer and may be carried out yet (core::incident::LostPostings).
-- The phase `absent` is new: the incident could not be posted, or was looked for in vain.
ALTER TABLE episodes ADD COLUMN lost_count INTEGER NOT NULL DEFAULT 0; -- how many have not turned up
ALTER TABLE episodes ADD COLUMN lost_missed_at_ms INTEGER;             -- when the last one was looked for in vain
ALTER TABLE episodes ADD COLUMN lost_title TEXT;                       -- the title that they bear, on a Cachet without meta
