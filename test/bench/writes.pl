# The life of a case in four statements, measured side by side; called by writes.sh.
#
# Variants take turns, a round each; a figure is the median over rounds of the statement's mean latency in that round
# (pgbench, prepared, one client), less that of a statement that does nothing.
use strict;
use warnings;
use List::Util qw(sum);

my ($psql, $pgbench, $host, $port) = @ENV{qw(BENCH_PSQL BENCH_PGBENCH BENCH_SOCKET BENCH_PORT)};
my $rounds = $ENV{ROUNDS} || 25;
my $lives = $ENV{LIVES} || 120;
my $warm = 64;
my $scratch = $ENV{BENCH_SCRATCH};
my @ops = qw(create comment act close);

sub ask
{
	my ($database, $sql) = @_;
	open my $out, '-|', $psql, '-XAtq', '-v', 'ON_ERROR_STOP=1', '-h', $host, '-p', $port, '-U', 'postgres', '-d', $database, '-c', $sql or die $!;
	local $/;
	my $answer = <$out> // '';
	close $out or die "failed: $sql\n";
	$answer =~ s/\n\z//;
	return $answer;
}

sub median
{
	my @sorted = sort { $a <=> $b } @_;
	return @sorted % 2 ? $sorted[$#sorted / 2] : ($sorted[@sorted / 2 - 1] + $sorted[@sorted / 2]) / 2;
}

my $subject = q{'The pump of hall ' || :c || ' makes a noise'};
my $description = q{'When it is started in the morning, the pump makes a noise until it is warm. Number ' || :c};
my $tenant = ask('ours', 'SELECT tenant FROM bench.config');

# What a person does under row security; the same text for csm and for the PL/pgSQL triggers.
my %plain = (
	create => "INSERT INTO csm.cases (subject, description) VALUES ($subject, $description) RETURNING id \\gset",
	comment => q{INSERT INTO csm.case_entries (case_id, body) VALUES (:id, 'It still makes a noise, and it is cold.')},
	act => q{UPDATE csm.cases SET state = 'open', assigned_to = :agent WHERE id = :id},
	close => q{UPDATE csm.cases SET state = 'closed', resolution_code = 'solved', resolution_notes = 'The bearing was replaced.' WHERE id = :id});
my %verbs = (
	create => "SELECT id FROM csm.open_case($subject, $description) \\gset",
	comment => q{SELECT id AS entry FROM csm.comment(:id, 'It still makes a noise, and it is cold.')},
	act => q{SELECT state FROM csm.act(:id, 'take')},
	close => q{SELECT state FROM csm.act(:id, 'close', NULL, '{"resolution_code": "solved", "resolution_notes": "The bearing was replaced."}')});

sub statement { my ($sql) = @_; return $sql =~ /\\gset$/ ? "$sql\n" : "$sql;\n"; }

# A life as a pgbench script; the statements measured follow a line that nothing else has. The first $warm lives, of each
# person in turn, make the maps and csm's own plans: commands of their own, which pgbench reports before the others.
sub script
{
	my ($name, $of, $as_person, $pause) = @_;
	my $file = "$scratch/$name.sql";
	my $commit = ($pause ? "\\sleep $pause ms\n" : '') . "COMMIT;\n";
	my $me = sub {
		my ($var, $role) = @_;
		return "BEGIN;\n" . ($as_person ? "SELECT set_config('csm.user_id', :${var}::text, true), set_config('role', '$role', true);\n" : '');
	};
	my $life = sub {
		my ($c, $g) = @_;
		my $text = "\\set c $c\n\\set g $g\n"
		  . "SELECT user_id AS person, account_id AS account FROM bench.contact WHERE n = :c \\gset\n"
		  . "SELECT user_id AS agent FROM bench.agent WHERE n = :g \\gset\n"
		  . $me->('person', 'csm_portal') . "SELECT 1 AS nothing;\n" . statement($of->{create}) . $commit;
		$text .= $me->('person', 'csm_portal') . statement($of->{comment}) . $commit if $of->{comment};
		$text .= $me->('agent', 'csm_agent') . statement($of->{act}) . $commit
		  . $me->('agent', 'csm_agent') . statement($of->{close}) . $commit if $of->{act};
		return $text;
	};
	open my $out, '>', $file or die $!;
	print $out "\\set n :n + 1\n\\if :n <= $warm\n", $life->(':n % 32 + 1', ':n % 8 + 1'),
	  "\\else\n", $life->('random(1, 32)', 'random(1, 8)'), "\\endif\n";
	close $out;
	return $file;
}

sub pgbench
{
	my ($database, $file, $options, $before, @more) = @_;
	local $ENV{PGOPTIONS} = $options // '';
	my $out = qx($pgbench -n -M prepared -h $host -p $port -U postgres -D n=$before -f $file @more $database 2>&1);
	die "pgbench on $database: $out" if $? || $out !~ /number of failed transactions: 0 /;
	return $out;
}

# Mean latency of each measured statement, in microseconds.
sub latencies
{
	my ($out, $of) = @_;
	# the last one: those before are of the lives that warm
	my $last = sub { my ($text) = @_; return (reverse $out =~ /^\s+([\d.]+)\s+\d+\s+$text/mg)[0] // die "no latency of $text in $out" };
	my $nothing = $last->('SELECT 1 AS nothing');
	my %found;

	foreach my $op (grep { $of->{$_} } @ops)
	{
		my $start = quotemeta substr($of->{$op} =~ s/ \\gset$//r, 0, 60);
		$found{$op} = 1000 * ($last->($start) - $nothing);
	}
	return \%found;
}

# ---- the bare statements: the rows of a sample life, written without triggers ----

sub of_case
{
	my ($table, $case) = @_;
	return $table eq 'sla_events' ? "case_sla_id IN (SELECT s.id FROM csm.case_slas s WHERE s.case_id = $case)" : "case_id = $case";
}

sub written
{
	my ($table, $case) = @_;
	return ask('ours', "SELECT coalesce(jsonb_object_agg(t.ctid::text || t.xmin::text, to_jsonb(t)), '{}') FROM csm.$table t WHERE " . of_case($table, $case));
}

# Tables that a life writes, and columns to fill: id, generated and tenant-wide unique ones get values of their own.
my @tables = split /\n/, ask('ours', q{
	SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'case_id' AND NOT a.attisdropped
	WHERE c.relnamespace = 'csm'::regnamespace AND c.relkind = 'r' ORDER BY 1});
push @tables, 'sla_events';
my %columns = map { $_ => [ map { [ split /\|/ ] } split /\n/, ask('ours', qq{
	SELECT attname || '|' || format_type(atttypid, atttypmod) FROM pg_attribute
	WHERE attrelid = 'csm.$_'::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum}) ] } ('cases', @tables);

# The values of a row as SQL, with :id where the sample has its case.
sub values_of
{
	my ($table, $case, $which, $person) = @_;
	my $list = join " || ', ' || ", map {
		my ($name, $type) = @$_;
		my $own = $name eq 'id' && $table ne 'cases' ? "'DEFAULT'"
		  : $name eq 'object_id' ? "CASE WHEN object_id = $case THEN '{id}' ELSE 'nextval(''bench.numbers'')' END"
		  : $name eq 'id' || $name eq 'case_id' ? "'{id}'"
		  : $table eq 'cases' && $name eq 'number' ? q{'''B'' || {id}'}
		  : $name =~ /^(requester_id|opened_by|author_id)$/ ? "'{person}'"
		  : $table eq 'cases' && $name =~ /^(subject|description)$/ ? "'{$name}'"
		  : $name eq 'search' ? "'to_tsvector(''english'', {subject} || '' '' || {description})'"
		  : "coalesce(quote_literal($name) || '::$type', 'NULL')";
		$own
	} @{ $columns{$table} };
	return ask('ours', "SELECT $list FROM csm.$table t WHERE $which");
}

my %count;

sub bare_statements
{
	my %bare;
	my $person = ask('ours', 'SELECT user_id FROM bench.contact WHERE n = 7');
	my $agent = ask('ours', 'SELECT user_id FROM bench.agent WHERE n = 7');
	my $case = ask('ours', "BEGIN; SELECT set_config('csm.user_id', '$person', true), set_config('role', 'csm_portal', true);"
		. q{INSERT INTO csm.cases (subject, description) VALUES ('The pump of hall 1234 makes a noise', 'When it is started in the morning, the pump makes a noise until it is warm. Number 1234') RETURNING 'case ' || id; COMMIT}) =~ /case (\d+)/ ? $1 : die;

	foreach my $op (@ops)
	{
		my %before = map { $_ => written($_, $case) } @tables;
		my $cases_before = ask('ours', "SELECT to_jsonb(c) - 'search' FROM csm.cases c WHERE id = $case");
		if ($op eq 'create')
		{
			%before = map { $_ => '{}' } @tables;
		}
		else
		{
			my ($who, $role) = $op eq 'comment' ? ($person, 'csm_portal') : ($agent, 'csm_agent');
			my $sql = $plain{$op} =~ s/:id/$case/r =~ s/:agent/$agent/r;
			ask('ours', "BEGIN; SELECT set_config('csm.user_id', '$who', true), set_config('role', '$role', true); $sql; COMMIT");
		}
		my @parts;
		if ($op eq 'create')
		{
			my $values = values_of('cases', $case, "id = $case");
			my $names = join ', ', map { $_->[0] } @{ $columns{cases} };
			$values =~ s/\{id\}/n.id/g;
			$values =~ s/\{person\}/:person/g;
			$values =~ s/\{subject\}/$subject/g;
			$values =~ s/\{description\}/$description/g;
			push @parts, "n AS MATERIALIZED (SELECT nextval('csm.cases_id_seq') AS id)",
			  "c AS (INSERT INTO csm.cases ($names) OVERRIDING SYSTEM VALUE SELECT $values FROM n RETURNING id)";
		}
		else
		{
			my $changed = ask('ours', "SELECT string_agg(n.key, ' ') FROM csm.cases c, jsonb_each(to_jsonb(c) - 'search') n JOIN jsonb_each(\$\$$cases_before\$\$) o USING (key) WHERE c.id = $case AND n.value IS DISTINCT FROM o.value");
			my %type = map { $_->[0] => $_->[1] } @{ $columns{cases} };
			my $set = join ', ', map { "$_ = " . ask('ours', "SELECT coalesce(quote_literal($_) || '::$type{$_}', 'NULL') FROM csm.cases WHERE id = $case") } split / /, $changed;
			push @parts, "c AS (UPDATE csm.cases SET $set WHERE id = :id RETURNING id)";
		}
		$count{$op} = 1;
		foreach my $table (@tables)
		{
			my $after = written($table, $case);
			my @new = split /\n/, ask('ours', "SELECT n.key FROM jsonb_object_keys(\$\$$after\$\$) n(key) WHERE NOT \$\$$before{$table}\$\$::jsonb ? n.key ORDER BY 1");
			my @gone = split /\n/, ask('ours', "SELECT n.key FROM jsonb_object_keys(\$\$$before{$table}\$\$) n(key) WHERE NOT \$\$$after\$\$::jsonb ? n.key ORDER BY 1");
			my $names = join ', ', map { $_->[0] } @{ $columns{$table} };
			my $key = join ', ', split /,/, ask('ours', "SELECT string_agg(a.attname, ',') FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) WHERE i.indrelid = 'csm.$table'::regclass AND i.indisprimary");
			my @same = split /\n/, ask('ours', "SELECT b.key || ' ' || a.key FROM jsonb_each(\$\$$before{$table}\$\$) b JOIN jsonb_each(\$\$$after\$\$) a ON a.key <> b.key AND ("
				. join(' AND ', map { "a.value->'$_' = b.value->'$_'" } split /, /, $key) . ") WHERE NOT \$\$$after\$\$::jsonb ? b.key");
			my %updated = map { split / / } @same;
			my %is_update = map { $_ => 1 } values %updated;

			my %type = map { $_->[0] => $_->[1] } @{ $columns{$table} };
			my $rows_before = ask('ours', "SELECT count(*) FROM jsonb_object_keys(\$\$$before{$table}\$\$)");
			my $some = sub {
				my ($n) = @_;
				return $n == $rows_before ? 'case_id = :id' : "ctid = ANY (ARRAY(SELECT x.ctid FROM csm.$table x WHERE x.case_id = :id LIMIT $n))";
			};
			$count{$op} += @new;
			foreach my $row (grep { !$is_update{$_} } @new)
			{
				my $values = values_of($table, $case, "ctid::text || xmin::text = '$row'");
				$values =~ s/\{id\}/$op eq 'create' ? 'c.id' : ':id'/ge;
				$values =~ s/\{person\}/:person/g;
				my @list = map { $_->[0] } @{ $columns{$table} };
				shift @list if $values =~ s/^DEFAULT, //;
				push @parts, 'p' . @parts . " AS (INSERT INTO csm.$table (" . join(', ', @list) . ") SELECT $values FROM c)";
			}
			if (my ($old) = sort keys %updated)
			{
				my $row = $updated{$old};
				my $changed = ask('ours', "SELECT string_agg(n.key, ' ') FROM jsonb_each(\$\$$after\$\$::jsonb->'$row') n JOIN jsonb_each(\$\$$before{$table}\$\$::jsonb->'$old') o USING (key) WHERE n.value IS DISTINCT FROM o.value");
				my $set = join ', ', map { "$_ = " . ask('ours', "SELECT coalesce(quote_literal($_) || '::$type{$_}', 'NULL') FROM csm.$table WHERE ctid::text || xmin::text = '$row'") } split / /, $changed;
				push @parts, 'p' . @parts . " AS (UPDATE csm.$table SET $set WHERE " . $some->(scalar keys %updated) . ')' if $set ne '';
			}
			if (my $deleted = grep { !$updated{$_} } @gone)
			{
				$count{$op} += $deleted;
				push @parts, 'p' . @parts . " AS (DELETE FROM csm.$table WHERE " . $some->($deleted) . ')';
			}
		}
		$bare{$op} = 'WITH ' . join(', ', @parts) . ' SELECT id FROM c' . ($op eq 'create' ? ' \gset' : '');
	}
	return \%bare;
}

# ---- measuring ----

my $bare = bare_statements();
if ($ENV{SHOW}) { print "$_: $bare->{$_}\n\n" foreach @ops; }
my $alone = { create => "INSERT INTO csm.cases (tenant_id, number, branch, case_type, priority, state, state_class, subject, description, requester_id, opened_by, account_id, submitted_at, search) "
	. "VALUES ($tenant, 'A' || nextval('bench.numbers'), 'b2b', 'case', 4, 'new', 'new', $subject, $description, :person, :person, :account, clock_timestamp(), to_tsvector('english', $subject || ' ' || $description)) RETURNING id \\gset" };
my @variants = (
	[ 'csm', 'ours', \%plain, '' ],
	[ 'csm, by functions', 'ours', \%verbs, '' ],
	[ 'PL/pgSQL', 'plpgsql', \%plain, '' ],
	[ 'csm, two SLAs', 'slas', \%plain, '' ],
	[ 'bare', 'bare', $bare, '-c session_replication_role=replica' ],
	[ 'cases alone', 'bare', $alone, '' ]);
my %file = map { $_->[0] => script($_->[0] =~ s/\W+/_/gr, $_->[2], $_->[1] ne 'bare') } @variants;
my %times;
foreach my $round (0 .. $rounds)
{
	foreach my $v (@variants)
	{
		my $found = latencies(pgbench($v->[1], $file{ $v->[0] }, $v->[3], 0, '-r', '-t', $warm + $lives), $v->[2]);
		next unless $round;		# the first warms
		push @{ $times{ $v->[0] }{$_} }, $found->{$_} foreach keys %$found;
	}
	print STDERR '.';
}

# A ratio is the median of the rounds' ratios: what disturbs a round disturbs both.
sub ratio
{
	my ($a, $b, $op, $op_b) = @_;
	my ($x, $y) = ($times{$a}{$op}, $times{$b}{ $op_b // $op });
	return median(map { $x->[$_] / $y->[$_] } 0 .. $#$x);
}
my $table = "| | rows | csm, µs | by functions | PL/pgSQL | bare | csm ÷ PL/pgSQL | csm ÷ bare |\n|---|--:|--:|--:|--:|--:|--:|--:|\n";
foreach my $op (@ops)
{
	$table .= sprintf "| %s | %d | %.0f | %.0f | %.0f | %.0f | %.2f | %.2f |\n", $op, $count{$op},
	  (map { median(@{ $times{$_}{$op} }) } 'csm', 'csm, by functions', 'PL/pgSQL', 'bare'), ratio('csm', 'PL/pgSQL', $op), ratio('csm', 'bare', $op);
}
foreach my $pair ([ 'PL/pgSQL' ], [ 'bare' ])
{
	my $b = $pair->[0];
	push @$pair, median(map { my $r = $_; sum(map { $times{csm}{$_}[$r] } @ops) / sum(map { $times{$b}{$_}[$r] } @ops) } 0 .. $rounds - 1);
	$table .= sprintf "The four together ÷ %s: %.2f. ", @$pair;
}
$table .= sprintf "\nCreate ÷ an insert into `cases` alone with its foreign keys (%.0f µs): %.2f\n", median(@{ $times{'cases alone'}{create} }), ratio('csm', 'cases alone', 'create');

# What SLAs add, by the rounds' differences.
sub more { my ($op) = @_; return median(map { $times{'csm, two SLAs'}{$op}[$_] - $times{csm}{$op}[$_] } 0 .. $rounds - 1); }
$table .= sprintf "With two SLAs on every case, more: create (two attached) %.0f µs, comment (none moved) %.0f, act (one moved) %.0f, close (one moved) %.0f\n", map { more($_) } @ops;

# ---- the decision: an update judged, and nothing written beside ----

my %decision;
foreach my $v ([ 'csm', 'ours_decision' ], [ 'PL/pgSQL', 'plpgsql_decision' ], [ 'none', 'bare_decision' ])
{
	my ($name, $database) = @$v;
	$decision{$name} = [];
}
my $agent = ask('ours', 'SELECT user_id FROM bench.agent WHERE n = 7');
sub decide
{
	my ($database) = @_;
	return ask($database, qq{
		BEGIN; SELECT set_config('csm.user_id', '$agent', true) IS NULL, set_config('role', 'csm_agent', true) IS NULL;
		SELECT bench.decide(1000);
		ROLLBACK}) =~ /([\d.]+)\s*\z/ ? $1 : die;
}
foreach my $round (0 .. $rounds)
{
	foreach my $v ([ 'csm', 'ours_decision' ], [ 'PL/pgSQL', 'plpgsql_decision' ], [ 'none', 'bare_decision' ])
	{
		my $us = decide($v->[1]);
		push @{ $decision{ $v->[0] } }, $us if $round;
	}
}
my $csm_decides = median(map { $decision{csm}[$_] - $decision{none}[$_] } 0 .. $rounds - 1);
my $plpgsql_decides = median(map { $decision{'PL/pgSQL'}[$_] - $decision{none}[$_] } 0 .. $rounds - 1);
$table .= sprintf "The decision alone: csm %.1f µs, PL/pgSQL %.1f µs: %.1f times faster\n", $csm_decides, $plpgsql_decides, $plpgsql_decides / $csm_decides;

# ---- many writers ----

# Seconds of CPU that backends have used which are gone by now.
sub cpu_of_backends
{
	my ($postmaster) = split /\n/, do { local (@ARGV, $/) = (ask('postgres', 'SHOW data_directory') . '/postmaster.pid'); <> };
	my @stat = split / /, do { local (@ARGV, $/) = ("/proc/$postmaster/stat"); <> } =~ s/.*\) //r;
	return ($stat[13] + $stat[14]) / 100;
}

# As fast as they can, which the cores end soon; then with transactions that stay open, so that a lock that is held until
# the commit keeps the others waiting, and the cores do not. Long enough that the first lives of each session, which make its
# maps and plans, count for little.
my @writers = grep { $_->[0] eq 'csm' || $_->[0] eq 'bare' } @variants;
my $open = 40;
my (%gain, %tps, %cpu);
foreach my $pause (0, $open)
{
	foreach my $v (@writers)
	{
		my $script = $pause ? script("$v->[0]_open", $v->[2], $v->[1] ne 'bare', $pause) : $file{ $v->[0] };
		foreach my $round (1, 2)
		{
			foreach my $clients (1, 16)
			{
				my $before = cpu_of_backends();
				my $out = pgbench($v->[1], $script, $v->[3], $warm, '-c', $clients, '-j', 2, '-T', 10);
				my ($lives_done, $tps) = $out =~ /actually processed: (\d+).*tps = ([\d.]+)/s or die;
				push @{ $tps{$pause}{ $v->[0] }{$clients} }, $tps;
				push @{ $cpu{$pause}{ $v->[0] }{$clients} }, 1e6 * (cpu_of_backends() - $before) / $lives_done;
			}
		}
		my $at = sub { my ($of, $clients) = @_; return median(@{ $of->{$pause}{ $v->[0] }{$clients} }); };
		$gain{$pause}{ $v->[0] } = sprintf '%s %.2f (%.0f lives a second, CPU a life %.2f)', $v->[0],
		  $at->(\%tps, 16) / $at->(\%tps, 1), $at->(\%tps, 16), $at->(\%cpu, 16) / $at->(\%cpu, 1);
	}
}
$table .= "16 writers ÷ 1: $gain{0}{csm}, $gain{0}{bare}\n";
$table .= "16 writers ÷ 1, transactions open $open ms more: $gain{$open}{csm}, $gain{$open}{bare}\n";

print STDERR "\n$table";

# ---- 16 clients act on the same 100 cases ----

ask('ours', q{DROP TABLE IF EXISTS bench.shared; CREATE TABLE bench.shared AS SELECT row_number() OVER () AS n, id FROM (SELECT id FROM csm.cases WHERE state = 'open' AND number LIKE 'OLD%' ORDER BY id LIMIT 100) c});
my $acts_before = ask('ours', 'SELECT count(*) FROM csm.case_history h JOIN bench.shared s ON s.id = h.case_id');
my $last_seq = ask('ours', 'SELECT count(*) FROM csm.events e JOIN bench.shared s ON s.id = e.case_id');
my $acts_file = "$scratch/acts.sql";
open my $acts, '>', $acts_file or die $!;
print $acts q{\set g random(1, 32)
\set n random(1, 100)
\set m random(1, 100)
SELECT user_id AS agent FROM bench.agent WHERE n = :g \gset
SELECT id FROM bench.shared WHERE n = :n \gset
BEGIN;
SELECT set_config('csm.user_id', :agent::text, true), set_config('role', 'csm_agent', true);
SELECT state FROM csm.act(:id, 'assign', NULL, jsonb_build_object('assigned_to', :agent::bigint, 'priority', 1 + :m::integer % 4));
SELECT id AS entry FROM csm.comment(:id, 'looking at it');
COMMIT;
};
close $acts;
my $busy = pgbench('ours', $acts_file, '', $warm, '-c', 16, '-j', 2, '-t', 100);
my ($acts_a_second) = $busy =~ /tps = ([\d.]+)/;
my $deadlocks = ask('ours', "SELECT deadlocks FROM pg_stat_database WHERE datname = 'ours'");
my $links = ask('ours', 'SELECT count(*) FROM csm.case_history h JOIN bench.shared s ON s.id = h.case_id') - $acts_before;
my $broken = ask('ours', "SELECT count(*) FROM (SELECT seq <> row_number() OVER (PARTITION BY case_id ORDER BY seq) AS gap FROM csm.case_history JOIN bench.shared s ON s.id = case_id) x WHERE gap");
my $comments = ask('ours', "SELECT count(*) FROM csm.case_entries e JOIN bench.shared s ON s.id = e.case_id WHERE body = 'looking at it'");
$table .= sprintf "16 clients, 100 cases, 1,600 acts and 1,600 comments: %.0f transactions a second, %d deadlocks, %d comments and %d links of history written, %d gaps in chains\n",
  $acts_a_second, $deadlocks, $comments, $links, $broken;

# ---- run_due over 100,000 rows ----

my $due = ask('due', 'SELECT count(*) FROM csm.timers');
my ($looked, $done, $seconds) = (0, 0, 0);
while ($seconds < 40)
{
	my ($n, $ok, $took) = ask('due', q{
		CREATE TEMP TABLE t AS SELECT clock_timestamp() AS at;
		SELECT coalesce(sum(done + failed + busy), 0) || ' ' || coalesce(sum(done), 0) FROM csm.run_due() WHERE kind <> 'notify';
		SELECT extract(epoch FROM clock_timestamp() - at) FROM t}) =~ /(\d+) (\d+)\n([\d.]+)/ or die;
	last if $n == 0;
	$looked += $n;
	$done += $ok;
	$seconds += $took;
}
$table .= sprintf "run_due, %d timers due, 10,000 a call: %d done in %.1f s, %.0f a second\n", $due, $done, $seconds, $done / $seconds;

print "\n$table";
open my $md, '>', $ENV{BENCH_RESULTS} or die $!;
print $md $table;
close $md;
