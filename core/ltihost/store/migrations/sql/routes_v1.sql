-- All registrations of an issuer, and of a client id if one is given. Runs as the router: no tenant is known yet.
CREATE OR REPLACE FUNCTION routes_v1(wanted_issuer text, wanted_client text) RETURNS SETOF text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT (to_jsonb(r) || jsonb_build_object('tenant_slug', t.slug, 'tenant_name', t.name, 'tenant_active', t.active))::text
    FROM registrations r JOIN tenants t ON t.id = r.tenant_id
   WHERE r.issuer = wanted_issuer AND (wanted_client IS NULL OR r.client_id = wanted_client) AND r.state <> 'draft'
   ORDER BY r.id
$$
