\echo Use "CREATE EXTENSION csm CASCADE" to load this file. \quit

-- Every name below is written with its schema; what is left resolves in
-- pg_catalog only, so that no object planted elsewhere can capture it.  SET
-- LOCAL, because a plain SET would outlive CREATE EXTENSION.
SET LOCAL search_path TO pg_catalog, pg_temp;
