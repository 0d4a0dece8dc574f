-- Whose signing keys wait for their next step. Runs as the router.
CREATE OR REPLACE FUNCTION keys_in_motion_v1() RETURNS TABLE (of_tenant text, of_owner text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT DISTINCT tenant_id, owner FROM key_pairs WHERE state IN ('published', 'retiring')
$$
