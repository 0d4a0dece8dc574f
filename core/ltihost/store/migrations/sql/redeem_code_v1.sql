-- Spend a one-time code and open the launch's session. NULL when it opens nothing (any more).
CREATE OR REPLACE FUNCTION redeem_code_v1(
  given_hash bytea, application text, tenant text, now float8, session_id text, session_expires float8) RETURNS text
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  spent record;
  found text;
BEGIN
  SELECT * INTO spent FROM spend_code_v1(given_hash, application, tenant, now);
  IF spent.launch_id IS NULL THEN
    RETURN NULL;
  END IF;
  PERFORM set_config('app.tenant', spent.tenant_id, true);
  SELECT jsonb_build_object(
           'id', l.id, 'at', l.at, 'registration_id', l.registration_id, 'deployment_id', l.deployment_id,
           'plugin', l.plugin, 'message', l.message, 'user_id', l.user_id, 'context_id', l.context_id,
           'resource_link_id', l.resource_link_id, 'launch_json', l.launch_json,
           'item_id', i.id, 'item_label', i.label, 'item_maximum', i.maximum, 'registration_name', r.name, 'issuer', r.issuer, 'tenant', to_jsonb(t), 'application', to_jsonb(a),
           'targets', (SELECT coalesce(jsonb_agg(x.prefix ORDER BY x.prefix), '[]') FROM application_targets x
                        WHERE x.tenant_id = a.tenant_id AND x.application_id = a.id))::text
    INTO found
    FROM launches l
    JOIN tenants t ON t.id = l.tenant_id AND t.active
    JOIN registrations r ON r.id = l.registration_id AND r.state = 'active'
    JOIN deployments d ON d.registration_id = l.registration_id AND d.deployment_id = l.deployment_id
                      AND d.tenant_id = l.tenant_id AND d.state = 'approved'
    JOIN applications a ON a.tenant_id = l.application_owner AND a.id = l.application_id
    LEFT JOIN users u ON u.tenant_id = l.tenant_id AND u.id = l.user_id
    LEFT JOIN line_items i ON i.tenant_id = l.tenant_id AND i.registration_id = l.registration_id
                          AND i.url = l.services_json::json #>> '{services,line_item_url}' AND i.state <> 'deleted'
   WHERE l.tenant_id = spent.tenant_id AND l.id = spent.launch_id AND NOT coalesce(u.suspended, false);
  IF found IS NOT NULL THEN
    INSERT INTO sessions (tenant_id, id, launch_id, application_id, created_at, expires_at)
    SELECT l.tenant_id, session_id, l.id, l.application_id, now, session_expires
      FROM launches l WHERE l.tenant_id = spent.tenant_id AND l.id = spent.launch_id;
  END IF;
  RETURN found;
END
$$
