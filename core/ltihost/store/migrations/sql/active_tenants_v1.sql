-- The tenants whose work goes on. Runs as the router.
CREATE OR REPLACE FUNCTION active_tenants_v1() RETURNS SETOF text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT id FROM tenants WHERE active AND id <> 'host' ORDER BY id
$$
