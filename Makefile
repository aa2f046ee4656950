# Build, install and test csm. `make help` lists the targets.
#
# PG_CONFIG chooses the PostgreSQL version: make PG_CONFIG=/usr/lib/postgresql/17/bin/pg_config
#
# Two passes in one file. The first knows the targets and needs no PostgreSQL, so that `make check` and `make demo`
# work on a machine where pg_config is still missing. What compiles or installs runs in a second pass (PASS=build),
# which includes PGXS; PGXS has a target `check` of its own, one more reason to keep it out of the first pass.

PG_CONFIG ?= pg_config
export PG_CONFIG

ifneq ($(PASS),build)

.DEFAULT_GOAL := all
.NOTPARALLEL:
# one build at a time in a tree, or two would write the same objects
BUILD = flock Makefile $(MAKE) --no-print-directory PASS=build

.PHONY: all install deps demo demo-stop check bench lint valgrind asan coverage format help

all: ## build the library and the install script
	+@$(BUILD) all

install: ## install into the PostgreSQL that PG_CONFIG names
	+@$(BUILD) install

deps: ## install the Debian packages that are missing (else list them and stop)
	@test/lib/deps.sh

demo: ## private server with real complaints and a B2B world, a walk through the main job
	@test/lib/deps.sh
	+@$(BUILD) all
	@test/demo/demo.sh

demo-stop: ## stop the server that `make demo` left running
	@test/lib/demo_stop.sh

check: ## run every test (SUITE=regress|pgtap|isolation|tap|claims and ONLY=regex run a part)
	@test/lib/deps.sh
	@SUITE='$(SUITE)' ONLY='$(ONLY)' PRELOAD='$(PRELOAD)' KEEP='$(KEEP)' test/lib/check.sh

bench: ## measure (FRESH=1 builds the data of reads anew; WRITES=1 only writes, PEOPLE=1 only signing in, erasing, licences, SEARCH=1 only search, CRITERIA=1 only user criteria)
	@test/lib/deps.sh
	+@$(BUILD) all
	@[ -n '$(WRITES)$(PEOPLE)$(SEARCH)$(CRITERIA)' ] || FRESH='$(FRESH)' test/bench/run.sh
	@[ -n '$(PEOPLE)$(SEARCH)$(CRITERIA)' -a -z '$(WRITES)' ] || test/bench/writes.sh
	@[ -n '$(WRITES)$(SEARCH)$(CRITERIA)' -a -z '$(PEOPLE)' ] || test/bench/people.sh
	@[ -n '$(WRITES)$(PEOPLE)$(CRITERIA)' -a -z '$(SEARCH)' ] || test/bench/search.sh
	@[ -n '$(WRITES)$(PEOPLE)$(SEARCH)' -a -z '$(CRITERIA)' ] || test/bench/criteria.sh

lint: ## compare symbols with SQL and README with both, check PL/pgSQL and install scripts (ANALYZE=1: gcc -fanalyzer too)
	@test/lib/deps.sh
	@ANALYZE='$(ANALYZE)' test/lib/lint.sh

valgrind: ## run tests on a server under valgrind, fail on a finding in csm
	@test/lib/deps.sh valgrind
	@SUITE='$(SUITE)' ONLY='$(ONLY)' test/lib/instrumented.sh valgrind

asan: ## run tests with address and undefined-behaviour sanitizers, fail on a finding in csm
	@test/lib/deps.sh
	@SUITE='$(SUITE)' ONLY='$(ONLY)' test/lib/instrumented.sh asan

coverage: ## run tests and print which share of the C lines they reach
	@test/lib/deps.sh
	@SUITE='$(SUITE)' ONLY='$(ONLY)' test/lib/instrumented.sh coverage

format: ## lay out the C sources as pgindent would
	@test/lib/deps.sh format
	clang-format -i src/*.c src/*.h

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1@\2/p' Makefile | awk -F@ '{ printf "%-10s %s\n", $$1, $$2 }'

# clean, uninstall and single files belong to PGXS
.DEFAULT:
	+@$(BUILD) $@

else

EXTENSION := csm
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" csm.control)
SOURCES := $(sort $(wildcard src/*.c))
SQL_PARTS := $(sort $(wildcard sql/install/*.sql))
INSTALL_SQL := csm--$(EXTVERSION).sql

ifneq ($(SOURCES),)
MODULE_big = csm
OBJS = $(SOURCES:.c=.o)
SHLIB_EXPORTS = exports.txt
# cjose and jansson read and verify tokens, sodium hashes passwords, crypto hashes history
SHLIB_LINK = $(shell pkg-config --libs cjose jansson libsodium libcrypto)
endif

ifneq ($(SQL_PARTS),)
UPDATE_SQL := $(patsubst sql/update/%.in,%,$(wildcard sql/update/*.sql.in))
DATA_built = $(INSTALL_SQL) $(UPDATE_SQL)
endif
# updates between earlier versions, as they were released
DATA = $(wildcard sql/update/*.sql)
EXTRA_CLEAN = $(SOURCES:.c=.d) exports.txt exports.list .built-for

# -Wno-sign-compare: macros of the server's array.h compare signed with unsigned.
# EXTRA_CFLAGS is for sanitizers and coverage.
PG_CPPFLAGS = -Isrc -DCSM_VERSION='"$(EXTVERSION)"' -MMD -MP
PG_CFLAGS = -Wall -Wextra -Werror -Wno-unused-parameter -Wno-missing-field-initializers -Wshadow=local -Wno-sign-compare $(EXTRA_CFLAGS)

# No LLVM bitcode: nothing here is worth inlining into a JIT-compiled query, and clang need not be installed.
override with_llvm = no

PGXS := $(shell $(PG_CONFIG) --pgxs)
ifeq ($(wildcard $(PGXS)),)
$(error $(PG_CONFIG) names no PGXS makefile; run "make deps" or set PG_CONFIG)
endif
include $(PGXS)

# A file of its own per object lists the headers it was made from: PGXS does not track headers.
-include $(SOURCES:.c=.d)

# Objects made for another server version or with other flags must not be linked with new ones.
BUILT_FOR := $(shell $(PG_CONFIG) --version) $(CC) $(EXTRA_CFLAGS)
.built-for: FORCE
	@echo '$(BUILT_FOR)' | cmp -s - $@ || echo '$(BUILT_FOR)' > $@
FORCE:
.PHONY: FORCE

$(OBJS): .built-for Makefile csm.control

# The linker shows to the server only what SQL may call: every function declared by PG_FUNCTION_INFO_V1, its
# pg_finfo_ record, and what the server looks up by name. PostgreSQL 15 does not hide symbols by itself.
exports.txt: $(SOURCES) Makefile
	@{ printf '%s\n' _PG_init Pg_magic_func; \
	   sed -n 's/^PG_FUNCTION_INFO_V1(\([a-z0-9_]*\)).*/\1 pg_finfo_\1/p' $(SOURCES) | tr ' ' '\n'; } \
	| awk '{ print $$1, NR }' > $@.tmp && mv $@.tmp $@

# Parts are written as CREATE OR REPLACE where they also serve in update scripts. A fresh install takes the words out:
# OR REPLACE would adopt an object that somebody planted before. The folder is a prerequisite, or a deleted part stays.
$(INSTALL_SQL): $(SQL_PARTS) sql/install
	@for part in $(SQL_PARTS); do cat $$part && echo || exit 1; done \
	| sed 's/^CREATE OR REPLACE /CREATE /' > $@.tmp && mv $@.tmp $@

# In an update script "-- @part NAME" stands for sql/install/NAME, whose functions may be there already (the server replaces
# only what the extension owns), "-- @function NAME PART" for one function of a part, and "-- @comments" for the comments of
# all parts.
$(UPDATE_SQL): %: sql/update/%.in $(SQL_PARTS) Makefile
	@awk -v parts='$(SQL_PARTS)' ' \
	    /^-- @part / { part = "sql/install/" $$3; n = 0; \
	        while ((getline line < part) > 0) { n++; sub(/^CREATE FUNCTION /, "CREATE OR REPLACE FUNCTION ", line); print line } \
	        close(part); if (n == 0) { print "no part " part > "/dev/stderr"; exit 1 } next } \
	    /^-- @function / { part = "sql/install/" $$4; n = 0; on = 0; \
	        while ((getline line < part) > 0) { \
	            if (index(line, "CREATE FUNCTION " $$3 "(") == 1 || index(line, "CREATE OR REPLACE FUNCTION " $$3 "(") == 1) { on = 1; n++; \
	                sub(/^CREATE FUNCTION /, "CREATE OR REPLACE FUNCTION ", line) } \
	            if (on) print line; if (line ~ /^(END )?[$$][$$];$$|^END;$$/) on = 0 } \
	        close(part); if (n == 0) { print "no function " $$3 " in " part > "/dev/stderr"; exit 1 } next } \
	    /^-- @comments/ { m = split(parts, file, " "); \
	        for (i = 1; i <= m; i++) { on = 0; while ((getline line < file[i]) > 0) { \
	            if (line ~ /^COMMENT ON /) on = 1; if (on) print line; if (line ~ /;$$/) on = 0 } close(file[i]) } next } \
	    { print }' $< > $@.tmp && mv $@.tmp $@

endif
