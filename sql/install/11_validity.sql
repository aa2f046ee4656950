-- When something counts.  A NULL range means always.

CREATE FUNCTION csm_private.is_valid(during tstzrange, at_time timestamptz) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN during IS NULL OR during @> at_time;
COMMENT ON FUNCTION csm_private.is_valid(tstzrange, timestamptz) IS
'Whether the range counts at the instant; NULL range: always';

-- Bounds are turned into the first microsecond at which the answer differs.
-- STABLE, as what it calls is declared: more would keep it from being inlined.
CREATE FUNCTION csm_private.next_change(during tstzrange, at_time timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
RETURN least(
        CASE WHEN lower(during) + CASE WHEN lower_inc(during) THEN interval '0' ELSE interval '1 microsecond' END > at_time
             THEN lower(during) + CASE WHEN lower_inc(during) THEN interval '0' ELSE interval '1 microsecond' END END,
        CASE WHEN upper(during) + CASE WHEN upper_inc(during) THEN interval '1 microsecond' ELSE interval '0' END > at_time
             THEN upper(during) + CASE WHEN upper_inc(during) THEN interval '1 microsecond' ELSE interval '0' END END);
COMMENT ON FUNCTION csm_private.next_change(tstzrange, timestamptz) IS
'First instant after the given one at which is_valid() can answer otherwise; NULL when it never will';

ALTER FUNCTION csm_private.is_valid(tstzrange, timestamptz) OWNER TO csm_owner;
ALTER FUNCTION csm_private.next_change(tstzrange, timestamptz) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.is_valid(tstzrange, timestamptz),
    csm_private.next_change(tstzrange, timestamptz) FROM PUBLIC;
