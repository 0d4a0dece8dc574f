-- True for the first to spend a nonce. Runs as the router: nobody else touches nonces.
CREATE OR REPLACE FUNCTION spend_nonce_v1(given_registration text, given_hash bytea, expires float8) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  INSERT INTO nonces (registration_id, nonce_hash, expires_at) VALUES (given_registration, given_hash, expires)
  ON CONFLICT DO NOTHING;
  RETURN FOUND;
END
$$
