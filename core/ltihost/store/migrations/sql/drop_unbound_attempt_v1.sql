-- Take away an attempt that was stored before its tenant was known. Runs as the router: the row is the host's.
CREATE OR REPLACE FUNCTION drop_unbound_attempt_v1(given_id text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  DELETE FROM launches WHERE tenant_id = 'host' AND id = given_id AND outcome <> 'accepted';
  RETURN FOUND;
END
$$
