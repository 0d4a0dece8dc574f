-- A registration and its owner, by id. Runs as the router: no tenant is known yet.
CREATE OR REPLACE FUNCTION route_v1(wanted text) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT (to_jsonb(r) || jsonb_build_object('tenant_slug', t.slug, 'tenant_name', t.name, 'tenant_active', t.active))::text
    FROM registrations r JOIN tenants t ON t.id = r.tenant_id
   WHERE r.id = wanted
$$
