-- A deployment with everything that its launches are read by.
CREATE OR REPLACE FUNCTION deployment_v1(wanted_registration text, wanted_deployment text) RETURNS text
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  found text;
BEGIN
  PERFORM set_config('app.tenant', coalesce(tenant_of_v1(wanted_registration, wanted_deployment), ''), true);
  SELECT (to_jsonb(d) || jsonb_build_object(
           'tenant', to_jsonb(t),
           'application', to_jsonb(a),
           'targets', (SELECT coalesce(jsonb_agg(x.prefix ORDER BY x.prefix), '[]') FROM application_targets x
                        WHERE x.tenant_id = d.application_owner AND x.application_id = d.application_id),
           'plugins', (SELECT coalesce(jsonb_agg(to_jsonb(p) ORDER BY p.position, p.key), '[]') FROM tenant_plugins p
                        WHERE p.tenant_id = d.tenant_id AND p.enabled),
           'rules', (SELECT coalesce(jsonb_agg(to_jsonb(r) ORDER BY r.created_at, r.id), '[]') FROM role_rules r
                      WHERE r.tenant_id = d.tenant_id
                        AND coalesce(r.registration_id, d.registration_id) = d.registration_id)))::text
    INTO found
    FROM deployments d
    JOIN tenants t ON t.id = d.tenant_id
    LEFT JOIN applications a ON a.tenant_id = d.application_owner AND a.id = d.application_id
   WHERE d.registration_id = wanted_registration AND d.deployment_id = wanted_deployment;
  RETURN found;
END
$$
