-- Launches, in order and in one transaction; a row for each. One that is refused writes nothing: all is checked first.
CREATE OR REPLACE FUNCTION accept_launches_v1(launches jsonb)
RETURNS TABLE (refusal text, user_id text, context_id text, resource_link_id text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  w record;
  app_owner text;
  fresh_context text;
  is_member boolean;
BEGIN
  FOR w IN SELECT * FROM jsonb_to_recordset(accept_launches_v1.launches) AS given (
    id text, tenant text, code text, kind text, outcome text, at float8, registration text, deployment text,
    message text, rung text, checks text, warnings text, remote_address text, user_agent text,
    was_waiting boolean, application text, plugin text, nonce_hash text, nonce_expires float8,
    new_user text, user_key text, subject text, name text, given_name text, family_name text, middle_name text,
    email text, picture text, locale text, test_user boolean,
    new_context text, context_key text, context_title text, context_label text, context_types text,
    new_link text, link_key text, link_title text, link_description text,
    role text, roles text, global_role text, group_role text,
    create_users boolean, create_contexts boolean, sync_roles boolean,
    launch_json text, services_json text, target_url text, code_hash text, code_expires float8,
    audit text, audit_details text)
  LOOP
    PERFORM set_config('app.tenant', w.tenant, true);
    user_id := NULL;
    context_id := NULL;
    resource_link_id := NULL;

    -- A context or membership that is as it was gets its last_seen_at once a minute: a class that comes in writes the
    -- row of its course once.
    SELECT d.application_owner, CASE
        WHEN NOT coalesce((SELECT active FROM tenants WHERE id = w.tenant), false) THEN 'tenant_suspended'
        WHEN NOT EXISTS (SELECT 1 FROM registrations WHERE id = w.registration AND state = 'active'
                            AND tenant_id IN (w.tenant, 'host')) THEN 'registration_inactive'
        WHEN d.application_owner IS NULL THEN 'deployment_disabled'
        WHEN NOT EXISTS (SELECT 1 FROM tenant_plugins WHERE tenant_id = w.tenant AND key = w.plugin AND enabled)
          THEN 'plugin_disabled'
        WHEN u.suspended THEN 'user_suspended'
        WHEN w.user_key IS NOT NULL AND u.id IS NULL AND NOT w.create_users THEN 'user_unknown'
        WHEN w.context_key IS NOT NULL AND c.id IS NULL AND NOT w.create_contexts THEN 'context_unknown'
      END,
      CASE WHEN c.last_seen_at > w.at - 60 AND c.types::text = w.context_types
        AND coalesce(w.context_title, c.title) IS NOT DISTINCT FROM c.title
        AND coalesce(w.context_label, c.label) IS NOT DISTINCT FROM c.label THEN c.id END,
      coalesce(m.active AND m.last_seen_at > w.at - 60 AND (NOT w.sync_roles OR (
        m.role = w.role AND m.roles::text = w.roles AND m.group_role IS NOT DISTINCT FROM w.group_role)), false)
      INTO app_owner, refusal, fresh_context, is_member
      FROM (SELECT) AS once
      LEFT JOIN deployments d ON d.registration_id = w.registration AND d.deployment_id = w.deployment
        AND d.tenant_id = w.tenant AND d.application_id = w.application AND d.state = 'approved'
      LEFT JOIN users u ON u.tenant_id = w.tenant AND u.registration_id = w.registration AND u.user_key = w.user_key
      LEFT JOIN contexts c ON c.tenant_id = w.tenant AND c.registration_id = w.registration
        AND c.deployment_id = w.deployment AND c.lms_id = w.context_key
      LEFT JOIN memberships m ON m.tenant_id = w.tenant AND m.context_id = c.id AND m.user_id = u.id;
    IF refusal IS NULL AND NOT spend_nonce_v1(w.registration, decode(w.nonce_hash, 'hex'), w.nonce_expires) THEN
      refusal := 'state_used';
    END IF;
    IF refusal IS NOT NULL THEN
      RETURN NEXT;
      CONTINUE;
    END IF;

    IF w.new_user IS NOT NULL THEN
      INSERT INTO users AS known (
        tenant_id, id, registration_id, user_key, subject, name, given_name, family_name, middle_name, email, picture,
        locale, test_user, global_role, suspended, first_seen_at, last_login_at)
      VALUES (
        w.tenant, w.new_user, w.registration, w.user_key, w.subject, w.name, w.given_name, w.family_name, w.middle_name,
        w.email, w.picture, w.locale, w.test_user, w.global_role, false, w.at, w.at)
      ON CONFLICT (tenant_id, registration_id, user_key) DO UPDATE SET
        subject = excluded.subject, name = excluded.name, given_name = excluded.given_name,
        family_name = excluded.family_name, middle_name = excluded.middle_name, email = excluded.email,
        picture = excluded.picture, locale = excluded.locale, test_user = excluded.test_user,
        global_role = CASE WHEN w.sync_roles THEN excluded.global_role ELSE known.global_role END,
        last_login_at = excluded.last_login_at
      RETURNING known.id INTO user_id;
    END IF;

    context_id := fresh_context;
    IF w.new_context IS NOT NULL AND fresh_context IS NULL THEN
      INSERT INTO contexts AS known (
        tenant_id, id, registration_id, deployment_id, lms_id, title, label, types, first_seen_at, last_seen_at)
      VALUES (
        w.tenant, w.new_context, w.registration, w.deployment, w.context_key, w.context_title, w.context_label,
        w.context_types::json, w.at, w.at)
      ON CONFLICT (tenant_id, registration_id, deployment_id, lms_id) DO UPDATE SET
        title = coalesce(excluded.title, known.title), label = coalesce(excluded.label, known.label),
        types = excluded.types, last_seen_at = excluded.last_seen_at
      RETURNING known.id INTO context_id;
    END IF;

    IF w.new_link IS NOT NULL THEN
      INSERT INTO resource_links AS known (
        tenant_id, id, registration_id, deployment_id, lms_id, context_id, title, description, launch_count,
        first_seen_at, last_launched_at)
      VALUES (
        w.tenant, w.new_link, w.registration, w.deployment, w.link_key, accept_launches_v1.context_id, w.link_title,
        w.link_description, 1, w.at, w.at)
      ON CONFLICT (tenant_id, registration_id, deployment_id, lms_id) DO UPDATE SET
        context_id = coalesce(excluded.context_id, known.context_id), title = coalesce(excluded.title, known.title),
        description = coalesce(excluded.description, known.description), launch_count = known.launch_count + 1,
        last_launched_at = excluded.last_launched_at
      RETURNING known.id INTO resource_link_id;
    END IF;

    IF accept_launches_v1.user_id IS NOT NULL AND accept_launches_v1.context_id IS NOT NULL AND NOT is_member THEN
      INSERT INTO memberships AS known (
        tenant_id, context_id, user_id, role, roles, group_role, active, source, first_seen_at, last_seen_at)
      VALUES (
        w.tenant, accept_launches_v1.context_id, accept_launches_v1.user_id, w.role, w.roles::json, w.group_role, true,
        'launch', w.at, w.at)
      ON CONFLICT (tenant_id, context_id, user_id) DO UPDATE SET
        role = CASE WHEN w.sync_roles THEN excluded.role ELSE known.role END,
        roles = CASE WHEN w.sync_roles THEN excluded.roles ELSE known.roles END,
        group_role = CASE WHEN w.sync_roles THEN excluded.group_role ELSE known.group_role END,
        active = true, left_at = NULL, last_seen_at = excluded.last_seen_at;
    END IF;

    -- An accepted launch is never replaced: a replay of its post is refused, and must not hide it.
    IF w.was_waiting THEN
      DELETE FROM launches WHERE tenant_id = w.tenant AND id = w.id AND outcome <> 'accepted';
      PERFORM drop_unbound_attempt_v1(w.id);
    END IF;
    INSERT INTO launches (
      tenant_id, id, code, kind, outcome, at, registration_id, deployment_id, message, rung, checks, warnings,
      remote_address, user_agent, user_id, context_id, resource_link_id, application_owner, application_id, plugin,
      target_url, launch_json, services_json)
    VALUES (
      w.tenant, w.id, w.code, w.kind, w.outcome, w.at, w.registration, w.deployment, w.message, w.rung, w.checks::json,
      w.warnings::json, w.remote_address, w.user_agent, accept_launches_v1.user_id, accept_launches_v1.context_id,
      accept_launches_v1.resource_link_id, app_owner, w.application, w.plugin, w.target_url, w.launch_json,
      w.services_json);
    INSERT INTO one_time_codes (tenant_id, code_hash, launch_id, application_id, expires_at)
    VALUES (w.tenant, decode(w.code_hash, 'hex'), w.id, w.application, w.code_expires);
    INSERT INTO audit (tenant_id, id, at, actor, action, object_id, details)
    VALUES (w.tenant, w.audit, w.at, 'platform', 'launch.accepted', w.id, w.audit_details::json);
    RETURN NEXT;
  END LOOP;
END
$$
