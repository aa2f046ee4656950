-- 100,000 proposed solutions of the past whose closing is due. What the closings lead to is told by a timer of its own,
-- which time.sh measures.
SET session_replication_role = replica;
UPDATE csm.cases SET state = 'resolved', state_class = 'resolved', resolved_at = clock_timestamp() - interval '20 days';
INSERT INTO csm.timers (tenant_id, kind, object_id, case_id, due_at)
SELECT tenant_id, 'auto_close', id, id, clock_timestamp() - interval '10 days' FROM csm.cases;
DELETE FROM csm.timers WHERE kind = 'notify';
RESET session_replication_role;
VACUUM ANALYZE;
