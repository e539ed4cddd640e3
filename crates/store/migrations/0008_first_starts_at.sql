-- The earliest startsAt that is known to be of the occurrence of starts_at_ms as well (core::alert::AlertRecord): when
-- Alertmanager makes one alert of several that overlap, it has the earliest. Without one, it is starts_at_ms.
ALTER TABLE alerts ADD COLUMN first_starts_at_ms INTEGER;
