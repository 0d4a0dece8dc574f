-- Number the committed events of an application that have no number yet, then answer those that follow a number. One
-- reader at a time, so that a number that can be seen is never followed by a smaller one. Runs as the router, which
-- sees whose an event is and where it stands, and nothing of what it says.
CREATE OR REPLACE FUNCTION number_events_v1(application text, tenant text, after bigint, most integer)
RETURNS TABLE (tenant_id text, id text, seq bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
#variable_conflict use_column
DECLARE
  last bigint;
BEGIN
  IF EXISTS (SELECT 1 FROM events WHERE application_id = application AND seq IS NULL) THEN
    PERFORM pg_advisory_xact_lock(hashtextextended('events ' || application, 0));
    -- An empty table begins at the time of day, so that no number comes twice.
    SELECT coalesce(max(seq), (extract(epoch FROM clock_timestamp()) * 1000)::bigint) INTO last
      FROM events WHERE application_id = application;
    UPDATE events e SET seq = last + waiting.place
      FROM (SELECT tenant_id, id, row_number() OVER (ORDER BY at, id) AS place
              FROM (SELECT tenant_id, id, at FROM events WHERE application_id = application AND seq IS NULL
                     ORDER BY at, id LIMIT 5000) oldest) waiting
     WHERE e.tenant_id = waiting.tenant_id AND e.id = waiting.id;
  END IF;
  RETURN QUERY
    SELECT e.tenant_id, e.id, e.seq FROM events e
     WHERE e.application_id = application AND e.seq > after AND (tenant IS NULL OR e.tenant_id = tenant)
     ORDER BY e.seq LIMIT most;
END
$$
