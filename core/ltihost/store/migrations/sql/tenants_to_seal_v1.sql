-- The tenants with audit rows that are not chained yet. Runs as the router.
CREATE OR REPLACE FUNCTION tenants_to_seal_v1() RETURNS SETOF text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT id FROM tenants t WHERE EXISTS (SELECT 1 FROM audit a WHERE a.tenant_id = t.id AND a.seq IS NULL)
$$
