-- countinghouse_emit: how a service in any language writes an event in its own transaction. See docs/emit.md.
-- What stands between @ signs is filled in by postgres_emit.py.

CREATE OR REPLACE FUNCTION countinghouse_partition(key text, partitions integer) RETURNS integer
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $body$
-- The partition of a key, as Kafka's own clients choose it: murmur2 of its UTF-8, sign bit cleared, modulo.
DECLARE
    bytes CONSTANT bytea := convert_to(key, 'UTF8');
    size CONSTANT integer := octet_length(bytes);
    whole CONSTANT integer := size - size % 4;
    m CONSTANT bigint := 1540483477;
    mask CONSTANT bigint := 4294967295;
    h bigint := 2538058380 # size::bigint;
    k bigint;
BEGIN
    FOR i IN 0 .. whole / 4 - 1 LOOP
        k := get_byte(bytes, 4 * i)::bigint + (get_byte(bytes, 4 * i + 1)::bigint << 8)
            + (get_byte(bytes, 4 * i + 2)::bigint << 16) + (get_byte(bytes, 4 * i + 3)::bigint << 24);
        k := (k * m) & mask;
        k := ((k # (k >> 24)) * m) & mask;
        h := ((h * m) & mask) # k;
    END LOOP;
    IF size > whole THEN
        FOR i IN whole .. size - 1 LOOP
            h := h # (get_byte(bytes, i)::bigint << (8 * (i - whole)));
        END LOOP;
        h := (h * m) & mask;
    END IF;
    h := ((h # (h >> 13)) * m) & mask;
    RETURN ((h # (h >> 15)) & 2147483647) % partitions;
END $body$;

CREATE OR REPLACE FUNCTION countinghouse_refuse(reason text, detail text, hint text) RETURNS void
LANGUAGE plpgsql AS $body$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = format('%s: %s', reason, detail), HINT = hint;
END $body$;

CREATE OR REPLACE FUNCTION countinghouse_check_object(place text, given json) RETURNS void
LANGUAGE plpgsql AS $body$
DECLARE
    twice text;
BEGIN
    IF given IS NULL OR json_typeof(given) <> 'object' THEN
        PERFORM countinghouse_refuse('INVALID_EVENT', format('%s must be an object', place), '@look@');
    END IF;
    SELECT name INTO twice FROM json_object_keys(given) AS k (name) GROUP BY name HAVING count(*) > 1 LIMIT 1;
    IF FOUND THEN
        PERFORM countinghouse_refuse('INVALID_EVENT', format('%s.%s stands twice', place, twice), '@look@');
    END IF;
END $body$;

CREATE OR REPLACE FUNCTION countinghouse_field(place text, given json, field jsonb) RETURNS text
LANGUAGE plpgsql AS $body$
-- A field's value as the event holds it, in JSON; NULL where it is absent and may be.
DECLARE
    kind CONSTANT text := coalesce(json_typeof(given), 'null');
    content text;
    length integer;
BEGIN
    IF kind = 'null' THEN
        IF (field ->> 'required')::boolean THEN
            PERFORM countinghouse_refuse('INVALID_EVENT', format('%s is missing', place), '@look@');
        END IF;
        RETURN NULL;
    END IF;
    IF kind <> field ->> 'kind' THEN
        PERFORM countinghouse_refuse(
            'INVALID_EVENT', format('%s must be a %s, not a %s', place, field ->> 'kind', kind), '@look@');
    END IF;
    IF kind = 'number' THEN
        content := given::text;
        IF (CASE WHEN content ~ '^-?(0|[1-9][0-9]{0,17})$'
            THEN content::bigint NOT BETWEEN (field ->> 'least')::bigint AND (field ->> 'most')::bigint
                OR NOT coalesce(field -> 'values' ? content, true)
            ELSE true END)
        THEN
            PERFORM countinghouse_refuse('INVALID_EVENT',
                format('%s must be a whole number%s, not %s', place, field ->> 'range', left(content, 40)), '@look@');
        END IF;
        RETURN content;
    END IF;
    IF kind = 'string' THEN
        content := given #>> '{}';
        length := char_length(content);
        IF content ~ '[\x01-\x1f]' THEN
            PERFORM countinghouse_refuse('INVALID_EVENT', format('%s holds a control character', place), '@look@');
        END IF;
    ELSE
        length := json_array_length(given);
    END IF;
    IF length NOT BETWEEN (field ->> 'least')::integer AND (field ->> 'most')::integer THEN
        PERFORM countinghouse_refuse('INVALID_EVENT',
            format('%s has %s %s; it may have%s', place, length, field ->> 'unit', field ->> 'range'), '@look@');
    END IF;
    IF kind = 'string' THEN
        RETURN to_json(content)::text;
    END IF;
    RETURN (
        SELECT '[' || string_agg(
            countinghouse_object(format('%s[%s]', place, number - 1), one, field -> 'fields'), ','
            ORDER BY number) || ']'
        FROM json_array_elements(given) WITH ORDINALITY AS item (one, number));
END $body$;

CREATE OR REPLACE FUNCTION countinghouse_object(place text, given json, fields jsonb) RETURNS text
LANGUAGE plpgsql AS $body$
-- The object with the fields that we know, in JSON. Others are additions of a newer writer and are left out.
DECLARE
    made text;
BEGIN
    PERFORM countinghouse_check_object(place, given);
    SELECT string_agg(to_json(name)::text || ':' || value, ',' ORDER BY number) INTO made
    FROM jsonb_array_elements(fields) WITH ORDINALITY AS f (field, number)
    CROSS JOIN LATERAL (SELECT field ->> 'name' AS name) AS n
    CROSS JOIN LATERAL (SELECT countinghouse_field(format('%s.%s', place, name), given -> name, field) AS value) AS v
    WHERE value IS NOT NULL;
    RETURN '{' || made || '}';
END $body$;

CREATE OR REPLACE FUNCTION countinghouse_time(given text) RETURNS text
LANGUAGE plpgsql AS $body$
-- An RFC 3339 time as events hold it, in UTC and to the microsecond.
DECLARE
    parts CONSTANT text[] := regexp_match(upper(given), '^([0-9]{4}-[0-9]{2}-[0-9]{2})T'
        '((?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9])(\.[0-9]+)?(?:Z|([+-])((?:[01][0-9]|2[0-3]):[0-5][0-9]))$');
    instant timestamp;
BEGIN
    BEGIN
        instant := (parts[1] || ' ' || parts[2] || coalesce(left(parts[3], 7), ''))::timestamp
            - coalesce((parts[4] || parts[5])::interval, interval '0');
    EXCEPTION WHEN data_exception THEN
        instant := NULL;
    END;
    IF instant IS NULL THEN
        PERFORM countinghouse_refuse('INVALID_EVENT', format('$.time %L is not RFC 3339', left(given, 64)),
            'Write it with its zone, such as 2011-03-04T12:30:00Z.');
    END IF;
    IF instant < timestamp '@earliest@' THEN
        PERFORM countinghouse_refuse('ANCIENT_TIME', format('$.time %s is before @earliest@', given),
            'Whoever wrote it has a broken clock.');
    END IF;
    IF instant > clock_timestamp() AT TIME ZONE 'UTC' + interval '@tolerance_s@ seconds' THEN
        PERFORM countinghouse_refuse('FUTURE_TIME',
            format('$.time %s is more than @tolerance_s@ seconds ahead of this server''s clock', given),
            'Events tell what happened; see that both clocks are right.');
    END IF;
    RETURN to_char(instant, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');
END $body$;

CREATE OR REPLACE FUNCTION countinghouse_check_sold_at(given text, event_time text) RETURNS void
LANGUAGE plpgsql AS $body$
-- Refuses the time of a sale unless it is written as events hold times, and the event didn't happen before it.
DECLARE
    instant timestamp;
BEGIN
    BEGIN
        instant := replace(rtrim(given, 'Z'), 'T', ' ')::timestamp;
    EXCEPTION WHEN data_exception THEN
        instant := NULL;
    END;
    IF instant IS NULL OR to_char(instant, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') <> given
        OR instant < timestamp '@earliest@'
        OR instant > replace(rtrim(event_time, 'Z'), 'T', ' ')::timestamp + interval '@tolerance_s@ seconds'
    THEN
        PERFORM countinghouse_refuse('INVALID_EVENT',
            format('$.data.sold_at %L is no time of a sale before %s', left(given, 64), event_time),
            'Write it as 2011-03-04T12:30:00.000000Z, in UTC.');
    END IF;
END $body$;

CREATE OR REPLACE FUNCTION countinghouse_event_id() RETURNS text
LANGUAGE sql VOLATILE AS $body$
-- A UUIDv7: random, but for the milliseconds in front and the version.
SELECT encode(set_bit(set_bit(
    overlay(uuid_send(gen_random_uuid())
        PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6),
    52, 1), 53, 1), 'hex')::uuid::text
$body$;

CREATE OR REPLACE FUNCTION countinghouse_parsed(event text) RETURNS json
LANGUAGE plpgsql AS $body$
DECLARE
    given json;
BEGIN
    IF octet_length(event) > @max_bytes@ THEN
        PERFORM countinghouse_refuse('TOO_LARGE', format('the event has %s bytes', octet_length(event)),
            'The most is @max_bytes@.');
    END IF;
    BEGIN
        given := event::json;
        PERFORM event::jsonb; -- It also refuses characters that no text can hold.
    EXCEPTION WHEN OTHERS THEN
        PERFORM countinghouse_refuse('NOT_A_CLOUDEVENT', 'the event is no JSON: ' || SQLERRM, '@look@');
    END;
    PERFORM countinghouse_check_object('$', given);
    RETURN given;
END $body$;

CREATE OR REPLACE FUNCTION countinghouse_kind(topic text, given json) RETURNS jsonb
LANGUAGE plpgsql AS $body$
-- What is known of the event's type.
DECLARE
    types CONSTANT jsonb := $types$@types@$types$;
    kind CONSTANT jsonb := types -> (given ->> 'type');
BEGIN
    IF json_typeof(given -> 'specversion') IS DISTINCT FROM 'string' OR given ->> 'specversion' <> '1.0'
        OR json_typeof(given -> 'type') IS DISTINCT FROM 'string'
    THEN
        PERFORM countinghouse_refuse(
            'NOT_A_CLOUDEVENT', '$.specversion must be "1.0" and $.type a string', '@look@');
    END IF;
    IF kind IS NULL THEN
        PERFORM countinghouse_refuse(
            'UNKNOWN_TYPE', format('$.type %L is not known here', left(given ->> 'type', 200)),
            (SELECT format('Known are: %s.', string_agg(name, ', ' ORDER BY name))
             FROM jsonb_object_keys(types) AS t (name)));
    END IF;
    IF kind ->> 'topic' <> topic THEN
        PERFORM countinghouse_refuse('WRONG_TOPIC', format('a %s does not go into %s', given ->> 'type', topic),
            format('Its topic is %s.', kind ->> 'topic'));
    END IF;
    RETURN kind;
END $body$;

CREATE OR REPLACE FUNCTION countinghouse_check_key(key text, given json, kind jsonb) RETURNS void
LANGUAGE plpgsql AS $body$
DECLARE
    names CONSTANT text[] := ARRAY(SELECT jsonb_array_elements_text(kind -> 'keys'));
    said CONSTANT text := (
        SELECT given -> 'data' ->> name FROM unnest(names) AS k (name)
        WHERE given -> 'data' ->> name IS NOT NULL LIMIT 1);
BEGIN
    IF key IS DISTINCT FROM said THEN
        PERFORM countinghouse_refuse('WRONG_KEY', format('the key is %L, the event says %L', key, said),
            format('Of a %s it is $.data.%s.', given ->> 'type',
                array_to_string(names, ', or where that is missing $.data.')));
    END IF;
END $body$;

CREATE OR REPLACE FUNCTION countinghouse_trace(given json) RETURNS text
LANGUAGE plpgsql AS $body$
-- The event's W3C trace context as an attribute of the envelope; nothing where it has none, or something else there.
DECLARE
    context CONSTANT text := CASE WHEN json_typeof(given -> 'traceparent') = 'string' THEN given ->> 'traceparent' END;
BEGIN
    IF context ~ '^@traceparent@$' THEN
        RETURN format(',"traceparent":"%s"', context);
    END IF;
    RETURN '';
END $body$;

CREATE OR REPLACE FUNCTION countinghouse_payload(key text, given json, kind jsonb, event_id text) RETURNS text
LANGUAGE plpgsql AS $body$
-- The envelope as the outbox keeps it: without its place in a lane, and saying where the event came from.
DECLARE
    head CONSTANT jsonb := countinghouse_object('$', given, $fields$@envelope@$fields$)::jsonb;
    data CONSTANT text := countinghouse_object('$.data', given -> 'data', kind -> 'fields');
    event_time text;
    payload text;
BEGIN
    PERFORM countinghouse_check_key(key, given, kind);
    event_time := countinghouse_time(head ->> 'time');
    IF data::json ->> 'sold_at' IS NOT NULL THEN
        PERFORM countinghouse_check_sold_at(data::json ->> 'sold_at', event_time);
    END IF;
    payload := format(
        '{"type":%s,"specversion":"1.0","id":"%s","time":"%s","subject":%s,"datacontenttype":"application/json",'
        '"dataschema":%s,"originsource":%s,"originid":%s%s,"data":%s}',
        given -> 'type', event_id, event_time,
        to_json(format('%s/%s', kind ->> 'subject', key)), kind -> 'dataschema', head -> 'source', head -> 'id',
        countinghouse_trace(given), data);
    IF octet_length(payload) > @max_payload_bytes@ THEN
        PERFORM countinghouse_refuse('TOO_LARGE', format('the event has %s bytes', octet_length(payload)),
            'The most is @max_payload_bytes@.');
    END IF;
    RETURN payload;
END $body$;

CREATE OR REPLACE FUNCTION countinghouse_topic(name text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $body$
-- The topic that a name is a version of: catalog-events.v2 is one of catalog-events.
SELECT regexp_replace(name, '@version@', '')
$body$;

CREATE OR REPLACE FUNCTION countinghouse_version(name text) RETURNS numeric
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $body$
SELECT coalesce(substring(name FROM '@version@')::numeric, 1)
$body$;

CREATE OR REPLACE FUNCTION countinghouse_lane(topic text, key text) RETURNS bigint
LANGUAGE plpgsql AS $body$
-- In the newest version of the topic, looked for anew at each call: topics migrate may have made it a moment ago.
DECLARE
    lane CONSTANT bigint := (
        WITH newest AS (
            SELECT l.topic AS name, count(*)::integer AS partitions FROM outbox_lane AS l
            WHERE countinghouse_topic(l.topic) = countinghouse_lane.topic
            GROUP BY l.topic ORDER BY countinghouse_version(l.topic) DESC LIMIT 1
        ), place AS MATERIALIZED (
            SELECT name, countinghouse_partition(countinghouse_lane.key, partitions) AS number FROM newest
        )
        SELECT l.id FROM outbox_lane AS l JOIN place AS p ON l.topic = p.name AND l.number = p.number);
BEGIN
    IF lane IS NULL THEN
        PERFORM countinghouse_refuse('UNKNOWN_TOPIC', format('there is no topic %L', topic),
            (SELECT format('There are: %s.',
                coalesce(string_agg(DISTINCT countinghouse_topic(l.topic), ', '), 'none; start the API once'))
             FROM outbox_lane AS l));
    END IF;
    RETURN lane;
END $body$;

CREATE OR REPLACE FUNCTION countinghouse_emit(topic text, key text, event text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER AS $body$
-- Writes the event in the caller's transaction and returns the id it gets here; that of the first time, where an
-- event of the same source and id was written before.
#variable_conflict use_variable
DECLARE
    event_id CONSTANT text := countinghouse_event_id();
    given json;
    payload text;
    lane bigint;
    refusal text;
    advice text;
BEGIN
    BEGIN
        IF topic IS NULL OR key IS NULL OR event IS NULL THEN
            PERFORM countinghouse_refuse('INVALID_CALL', 'topic, key or event is NULL',
                'Call it as SELECT countinghouse_emit(topic, key, event).');
        END IF;
        lane := countinghouse_lane(topic, key);
        given := countinghouse_parsed(event);
        payload := countinghouse_payload(key, given, countinghouse_kind(topic, given), event_id);
    EXCEPTION WHEN invalid_parameter_value THEN
        GET STACKED DIAGNOSTICS refusal = MESSAGE_TEXT, advice = PG_EXCEPTION_HINT;
    END;
    IF refusal IS NOT NULL THEN -- Told from here, so that the caller isn't shown the way to it.
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = refusal, HINT = advice;
    END IF;
    INSERT INTO accepted_events (source, id, event_id) VALUES (given ->> 'source', given ->> 'id', event_id)
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN (SELECT a.event_id FROM accepted_events AS a
                WHERE a.source = given ->> 'source' AND a.id = given ->> 'id');
    END IF;
    INSERT INTO outbox (lane, event_id, key, payload, recorded_at_us)
    VALUES (lane, event_id, key, convert_to(payload, 'UTF8'), @now_us@);
    RETURN event_id;
END $body$;

CREATE OR REPLACE FUNCTION countinghouse_emit(topic text, key text, event jsonb) RETURNS text
LANGUAGE sql RETURN countinghouse_emit(topic, key, event::text);

CREATE OR REPLACE FUNCTION countinghouse_emit(topic text, key text, event json) RETURNS text
LANGUAGE sql RETURN countinghouse_emit(topic, key, event::text);

-- It writes with its owner's rights, so only whom the owner allows may call it, and it looks nowhere but here.
DO $body$
BEGIN
    EXECUTE format(
        'ALTER FUNCTION countinghouse_emit(text, text, text) SET search_path = %I, pg_temp', current_schema());
END $body$;
REVOKE EXECUTE ON FUNCTION countinghouse_emit(text, text, text) FROM PUBLIC;
