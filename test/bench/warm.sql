-- Table, indexes and TOAST into memory, so that every figure is a warm one.
SELECT count(pg_prewarm(c.oid::regclass)) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN ('csm', 'bench') AND c.relkind IN ('r', 'i');
