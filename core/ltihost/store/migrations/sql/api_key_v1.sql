-- An API key by its public id. Runs as the router: the key says which tenant it is.
CREATE OR REPLACE FUNCTION api_key_v1(wanted text) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT to_jsonb(k)::text FROM api_keys k WHERE k.id = wanted
$$
