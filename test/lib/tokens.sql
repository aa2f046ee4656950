-- Signing in by a token in the small world: as small.run(), by the token of a session or API key instead of the setting.
CREATE FUNCTION small.by(token text, role_name text, statement text, persona text DEFAULT NULL, keep boolean DEFAULT false)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    BEGIN
        IF csm_private.sign_in_by_token(token, true) IS NULL THEN
            RETURN 'refused';
        END IF;
        PERFORM set_config('role', role_name, true);
        IF persona IS NOT NULL THEN
            PERFORM csm.act_as(persona);
        END IF;
        IF NOT row_security_active('csm.cases') THEN
            RAISE EXCEPTION 'row security is not active for %', role_name;
        END IF;
        EXECUTE statement INTO answer;
        IF NOT keep THEN
            RAISE EXCEPTION USING ERRCODE = 'ZZZZZ', MESSAGE = 'undo';
        END IF;
    EXCEPTION
        WHEN SQLSTATE 'ZZZZZ' THEN NULL;
        WHEN OTHERS THEN answer := 'ERROR ' || SQLSTATE || ': ' || SQLERRM;
    END;
    PERFORM set_config('role', 'none', true);
    PERFORM set_config('csm.persona', '', true);
    PERFORM set_config('csm.user_id', '', true);
    RETURN answer;
END $$;
-- The row of csm.sessions that a token stands for.
CREATE FUNCTION small.session_of(token text) RETURNS bigint LANGUAGE sql STABLE
RETURN (SELECT t.session_id FROM csm_private.session_tokens t WHERE t.token_hash = sha256(convert_to($1, 'UTF8')));
CREATE FUNCTION small.start(person text, role_name text DEFAULT 'csm_portal') RETURNS text LANGUAGE sql
RETURN small.run(small.u(person), role_name, 'SELECT csm.start_session()', NULL, true);
