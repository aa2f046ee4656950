#!/usr/bin/perl
# Measures the bench database and writes results/latest.json and latest.md; called by run.sh.
#
# Every statement goes to the server as a client would send it: BEGIN, SET LOCAL csm.user_id, SET LOCAL ROLE, the
# statement under EXPLAIN (ANALYZE, BUFFERS), ROLLBACK.  The variants of one figure take turns, so that what disturbs
# the machine disturbs all of them.  Before it is measured, each variant must return the same rows as the first.
#
#   REACH=re SHAPE=re   only what matches     REPEAT=n   runs of a figure (five times as many below 20 ms)
#   SAVE=name           write results/name.json and .md, also of a partial run
#   VARIANTS=re         only these (ours any join union tenant bare policy_any policy_in policy_exists)
#   EXTRAS=0|1          maps, identity switch, edge writes (default: when REACH and SHAPE are not set)
#   PLANS=file          plans of ours and the fastest hand-written form where the ratio exceeds 1.1
use strict;
use warnings;
use IPC::Open2;
use JSON::PP;
use Time::HiRes qw(time);
use POSIX qw(strftime);

my $repeat = $ENV{REPEAT} || 7;
my $reach_re = $ENV{REACH} // '';
my $shape_re = $ENV{SHAPE} // '';
my $variant_re = $ENV{VARIANTS} // '';
my $extras = $ENV{EXTRAS} // ($reach_re eq '' && $shape_re eq '' ? 1 : 0);
my $plans_file = $ENV{PLANS} // '/tmp/csm-bench-plans.txt';
my $limit_ms = 20_000;
my $json = JSON::PP->new->canonical->pretty;
my @scripts;

# --- a psql session as a coprocess ---

sub session
{
	my @command = ($ENV{BENCH_PSQL}, qw(-X -q -A -t -h), $ENV{BENCH_SOCKET}, '-p', $ENV{BENCH_PORT},
		qw(-U postgres -d bench -v VERBOSITY=terse));
	my ($out, $in);
	my $pid = open2($out, $in, 'sh', '-c', 'exec "$@" 2>&1', 'sh', @command);
	push @scripts, "/tmp/csm-bench-$$-$pid.sql";
	return { pid => $pid, in => $in, out => $out, script => "/tmp/csm-bench-$$-$pid.sql" };
}

sub ask
{
	my ($s, $sql) = @_;
	my $answer = '';
	# Through a file: psql would stop reading its input while nobody reads its output.
	open my $script, '>', $s->{script} or die "$s->{script}: $!";
	print $script "$sql\n;\n";
	close $script;
	print { $s->{in} } "\\i $s->{script}\n\\echo :END:\n";
	$s->{in}->flush;
	while (defined(my $line = readline $s->{out}))
	{
		last if $line eq ":END:\n";
		$answer .= $line;
	}
	chomp $answer;
	return $answer;
}

sub finish
{
	my ($s) = @_;
	close $s->{in};
	close $s->{out};
	waitpid $s->{pid}, 0;
}

$SIG{INT} = $SIG{TERM} = sub { exit 130 };
END { unlink @scripts }

my $db = session();

sub value
{
	my ($sql) = @_;
	my $v = ask($db, $sql);
	die "$sql\n$v\n" if $v =~ /ERROR/;
	return $v;
}

sub median
{
	my @v = sort { $a <=> $b } @_;
	return undef unless @v;
	return @v % 2 ? $v[$#v / 2] : ($v[@v / 2 - 1] + $v[@v / 2]) / 2;
}

my $tenant = value('SELECT tenant FROM bench.config');
my $cases = value('SELECT cases FROM bench.config');
my ($rare, $common, $substring) = split /\|/, value('SELECT rare_word, common_word, substring FROM bench.terms');

# --- who asks ---

my @people;
for (split /\n/, value(q{SELECT reach, person, role, account FROM bench.people WHERE reach <> '10000' ORDER BY ord}))
{
	my ($reach, $person, $role, $account) = split /\|/;
	push @people, { reach => $reach, person => $person, role => $role, account => $account };
}
push @people, { reach => 'nobody', role => 'csm_portal' };

# An identity as a trusted backend states it.
sub identity
{
	my ($who, $variant) = @_;
	return "SET LOCAL bench.person = '$who->{person}'; SET LOCAL ROLE bench_$1;" if $variant =~ /^policy_(.*)/;
	return '' if $variant ne 'ours';
	return "SET LOCAL ROLE $who->{role};" unless $who->{person};
	return "SET LOCAL csm.user_id = '$who->{person}'; SET LOCAL ROLE $who->{role};";
}

sub ids
{
	my ($who) = @_;
	$who->{ids} //= value("SELECT coalesce(array_agg(account_id ORDER BY account_id), '{}') FROM bench.ids_$who->{person}");
	return $who->{ids};
}

# --- the case rows that a variant works on ---

sub variants
{
	my ($who) = @_;
	return ('ours') unless $who->{person};
	my @hand = $who->{reach} eq 'agent' ? qw(bare tenant) : $who->{reach} eq 'own' ? qw(any union) : qw(any join union);
	return ('ours', @hand) if $who->{reach} eq 'agent';
	return ('ours', @hand, qw(policy_any policy_in policy_exists));
}

# WHERE of a one-relation form; undef for the forms that are a union.
sub rule
{
	my ($who, $variant) = @_;
	my $p = $who->{person};
	return 'true' if $variant eq 'ours' || $variant eq 'bare' || $variant =~ /^policy/;
	return "c.tenant_id = $tenant" if $variant eq 'tenant';
	return "c.tenant_id = $tenant AND (c.requester_id = $p OR c.opened_by = $p)" if $who->{reach} eq 'own' && $variant eq 'any';
	return "c.tenant_id = $tenant AND (c.account_id = ANY ('" . ids($who) . "'::bigint[])"
		. " OR c.requester_id = $p OR c.opened_by = $p)"
		if $variant eq 'any';
	return undef;
}

# SELECT of columns with a further condition and a tail (ORDER BY ... LIMIT).
sub rows
{
	my ($who, $variant, $columns, $more, $tail) = @_;
	my $p = $who->{person};
	my $rule = rule($who, $variant);
	my @arms;

	if (defined $rule)
	{
		my $where = join ' AND ', grep { defined $_ && $_ ne '' && $_ ne 'true' } $rule, $more;
		return "SELECT $columns FROM csm.cases c" . ($where ? " WHERE $where" : '') . " $tail";
	}
	$more = $more ? "AND $more" : '';
	if ($who->{reach} eq 'own')
	{
		@arms = ("c.requester_id = $p", "c.opened_by = $p AND c.requester_id <> $p");
	}
	elsif ($variant eq 'union')
	{
		my $in = "c.account_id = ANY ('" . ids($who) . "'::bigint[])";
		@arms = ($in, "c.requester_id = $p AND ($in) IS NOT TRUE",
			"c.opened_by = $p AND c.requester_id <> $p AND ($in) IS NOT TRUE");
	}
	else
	{
		my $not = "NOT EXISTS (SELECT FROM bench.ids_$p i WHERE i.account_id = c.account_id)";
		return "SELECT $columns FROM ("
			. "SELECT c.* FROM csm.cases c JOIN bench.ids_$p i USING (account_id) WHERE c.tenant_id = $tenant $more"
			. " UNION ALL SELECT c.* FROM csm.cases c WHERE (c.requester_id = $p OR c.opened_by = $p) AND $not $more"
			. ") c $tail";
	}
	# A hand-written union takes the tail into its arms.
	return "SELECT $columns FROM ("
		. join(' UNION ALL ', map { "(SELECT c.* FROM csm.cases c WHERE $_ $more $tail)" } @arms)
		. ") c $tail";
}

# --- shapes ---

my $newest = 'ORDER BY c.opened_at DESC, c.id DESC LIMIT 50';
my $list = 'c.id, c.number, c.subject, c.state, c.priority, c.account_id, c.opened_at';

sub words
{
	my ($variant, $word) = @_;
	my $query = "plainto_tsquery('english', '$word')";
	return $variant eq 'ours' ? "csm.matches(c.search, $query)" : "c.search @@ $query";
}

my %reads = (
	'newest 50' => sub { my ($w, $v) = @_; rows($w, $v, $list, '', $newest) },
	'newest 50 open' => sub { my ($w, $v) = @_; rows($w, $v, $list, "c.state_class IN ('new', 'open', 'waiting')", $newest) },
	'point look-up' => sub { my ($w, $v) = @_; rows($w, $v, $list, "c.id = $w->{visible}", '') },
	'count by state' => sub {
		my ($w, $v) = @_;
		return 'SELECT s.state, count(*) FROM (' . rows($w, $v, 'c.state', '', '') . ') s GROUP BY s.state';
	},
	'join entries' => sub {
		my ($w, $v) = @_;
		return 'SELECT n.id, n.number, count(e.id), max(e.created_at) FROM ('
			. rows($w, $v, 'c.id, c.number, c.tenant_id', '', $newest)
			. ") n LEFT JOIN csm.case_entries e ON e.case_id = n.id AND e.tenant_id = n.tenant_id AND e.visibility = 'shared'"
			. ' GROUP BY n.id, n.number';
	},
	'text rare' => sub { my ($w, $v) = @_; rows($w, $v, $list, words($v, $rare), $newest) },
	'text common' => sub { my ($w, $v) = @_; rows($w, $v, $list, words($v, $common), $newest) },
	'substring' => sub {
		my ($w, $v) = @_;
		rows($w, $v, $list, $v eq 'ours' ? "csm.contains(c.subject, '$substring')" : "c.subject ILIKE '%$substring%'", $newest);
	},
);
my @shapes = ('newest 50', 'newest 50 open', 'point look-up', 'count by state', 'join entries', 'text rare', 'text common',
	'substring', 'insert', 'comment');

# A write as csm is asked to do it, and as somebody would who fills every column himself with csm's triggers off.
sub write_statement
{
	my ($who, $variant, $shape) = @_;
	my $account = $who->{account} || value("SELECT account_id FROM csm.cases WHERE id = $who->{visible}") || 1;
	my $requester = $who->{role} eq 'csm_agent' ? value("SELECT contacts_from + $account FROM bench.config") : $who->{person};
	my $subject = 'Printer device does not start';
	my $description = 'After the update the device stays dark and the error lamp is on';

	if ($shape eq 'insert')
	{
		return "INSERT INTO csm.cases (subject, description, account_id, requester_id)"
			. " VALUES ('$subject', '$description', $account, $requester)"
			if $variant eq 'ours';
		return "INSERT INTO csm.cases (tenant_id, number, branch, state, state_class, priority, subject, description, requester_id,"
			. " opened_by, account_id, search, submitted_at) VALUES ($tenant, 'B' || nextval('bench.numbers'), 'b2b', 'new',"
			. " 'new', 4, '$subject', '$description', $requester, $who->{person}, $account,"
			. " setweight(to_tsvector('english', 'B1 $subject'), 'A') || setweight(to_tsvector('english', '$description'), 'B'),"
			. " clock_timestamp())";
	}
	return "SELECT csm.comment($who->{visible_open}, 'Any news on this?')" if $variant eq 'ours';
	my $rule = rule($who, $variant);
	my $p = $who->{person};
	$rule = $who->{reach} eq 'own' ? "(c.requester_id = $p OR c.opened_by = $p)"
		: "(EXISTS (SELECT FROM bench.ids_$p i WHERE i.account_id = c.account_id) OR c.requester_id = $p OR c.opened_by = $p)"
		unless defined $rule;
	return "WITH e AS (INSERT INTO csm.case_entries (tenant_id, case_id, branch, author_id, author_name, side, body)"
		. " SELECT $tenant, c.id, c.branch, $who->{person}, 'Somebody', 'customer', 'Any news on this?'"
		. " FROM csm.cases c WHERE c.id = $who->{visible_open} AND $rule RETURNING case_id)"
		. " UPDATE csm.cases c SET updated_at = clock_timestamp(), needs_attention = true FROM e WHERE c.id = e.case_id";
}

# --- one measurement ---

sub digest
{
	my ($explained) = @_;
	my $e = $explained->[0];
	my $sum = sub { my ($n) = @_; ($n->{'Shared Hit Blocks'} // 0) + ($n->{'Shared Read Blocks'} // 0) };
	return {
		planning => $e->{'Planning Time'},
		execution => $e->{'Execution Time'},
		total => $e->{'Planning Time'} + $e->{'Execution Time'},
		buffers => $sum->($e->{Plan}),
		planning_buffers => $sum->($e->{Planning} // {}),
	};
}

sub explain
{
	my ($who, $variant, $sql) = @_;
	my $answer = ask($db, "BEGIN; SET LOCAL statement_timeout = $limit_ms; " . identity($who, $variant)
		. "\nEXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) $sql;\nROLLBACK;");
	return { timeout => 1 } if $answer =~ /statement timeout/;
	return { error => $1 } if $answer =~ /(ERROR.*)/;
	return digest($json->decode($answer));
}

# Writes: several in a transaction that is rolled back, the first two to warm up.
sub explain_writes
{
	my ($who, $variant, $shape) = @_;
	my $sql = write_statement($who, $variant, $shape);
	my $n = 7;
	my $off = $variant eq 'ours' ? ''
		: 'ALTER TABLE csm.cases DISABLE TRIGGER USER; ALTER TABLE csm.case_entries DISABLE TRIGGER USER;';
	my $answer = ask($db, "BEGIN; SET LOCAL statement_timeout = $limit_ms; $off " . identity($who, $variant)
		. "\n\\echo :PART:\nEXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) $sql;" x $n . "\nROLLBACK;");
	return { timeout => 1 } if $answer =~ /statement timeout/;
	return { error => $1 } if $answer =~ /(ERROR.*)/;
	my @runs = map { digest($json->decode($_)) } grep { /\S/ } split /:PART:\n/, $answer;
	splice @runs, 0, 2;
	return { map { my $k = $_; $k => median(map { $_->{$k} } @runs) } keys %{ $runs[0] } };
}

sub plan_text
{
	my ($who, $variant, $sql) = @_;
	my $answer = ask($db, 'BEGIN; ' . identity($who, $variant)
		. "\nEXPLAIN (ANALYZE, BUFFERS, TIMING ON) $sql;\nROLLBACK;");
	$answer =~ s/'\{[0-9,]{200,}\}'/'{...}'/g;
	return $answer;
}

# --- does everybody get the same rows? ---

sub checksum
{
	my ($who, $variant, $sql) = @_;
	my $answer = ask($db, "BEGIN; SET LOCAL statement_timeout = $limit_ms; " . identity($who, $variant)
		. "\nSELECT count(*) || ' ' || coalesce(md5(string_agg(x::text, ',' ORDER BY x::text)), '-') FROM ($sql) x;\nROLLBACK;");
	return 'timeout' if $answer =~ /statement timeout/;
	return $1 if $answer =~ /(ERROR.*)/;
	return $answer;
}

my (@results, $wrong);
$wrong = 0;

# The access map must be what the ordinary tables say.
for my $who (grep { $_->{person} && $_->{reach} ne 'agent' } @people)
{
	my $map = ask($db, 'BEGIN; ' . identity($who, 'ours') . " SELECT md5(csm.accounts_allowing('case_read')::text); ROLLBACK;");
	my $table = value("SELECT md5(coalesce(array_agg(account_id ORDER BY account_id), '{}')::text) FROM bench.ids_$who->{person}");
	if ($map ne $table)
	{
		print STDERR "reach $who->{reach}: accounts of the map and of the table differ: $map\n";
		$wrong++;
	}
}

for my $who (@people)
{
	next if $who->{person} && $who->{reach} !~ /^(?:$reach_re)/;
	next if $reach_re ne '' && $who->{reach} !~ /^(?:$reach_re)/;
	if ($who->{person})
	{
		my $seen = $who->{reach} eq 'agent' ? 'true'
			: "(account_id IN (SELECT account_id FROM bench.ids_$who->{person}) OR requester_id = $who->{person})";
		$who->{visible} = value("SELECT id FROM csm.cases WHERE $seen AND id > $cases / 2 ORDER BY id LIMIT 1")
			|| value("SELECT max(id) FROM csm.cases WHERE $seen");
		$who->{visible_open} = value("SELECT max(id) FROM csm.cases WHERE $seen AND state_class IN ('new', 'open')");
	}
	else
	{
		$who->{visible} = int($cases / 2);
	}
	for my $shape (@shapes)
	{
		next if $shape_re ne '' && $shape !~ /$shape_re/;
		my $read = $reads{$shape};
		next if !$read && !$who->{person};
		next if $shape eq 'comment' && !$who->{visible_open};
		my %cell = (reach => $who->{reach}, shape => $shape);
		my (%runs, %dead, %seconds, $first);
		my @variants = variants($who);
		@variants = grep { $_ !~ /^(?:join|union)$/ } @variants unless $read;
		@variants = grep { $variant_re eq '' || /^(?:$variant_re)$/ } @variants;
		printf STDERR "%-8s %-16s", $who->{reach}, $shape;

		if ($read)
		{
			for my $variant (@variants)
			{
				my $t = time;
				my $sum = checksum($who, $variant, $read->($who, $variant));
				$seconds{$variant} = time - $t;
				if ($sum eq 'timeout')
				{
					$dead{$variant} = "> @{[ $limit_ms / 1000 ]} s";
					next;
				}
				$first //= $sum;
				if ($sum ne $first)
				{
					print STDERR "\n  $variant: other rows than $variants[0]: $sum, not $first\n";
					$wrong++;
				}
			}
			# a slow policy and a form that is far behind show the time of the check, by the clock
			$dead{$_} //= sprintf '%.1f s', $seconds{$_} for grep { /^policy/ && $seconds{$_} > 1 } @variants;
			for my $variant (grep { !/^(?:ours|policy)/ } @variants)
			{
				next unless grep { !/^(?:ours|policy)/ && !$dead{$_} && $seconds{$_} * 4 < $seconds{$variant} } @variants;
				$dead{$variant} //= sprintf '%.1f s', $seconds{$variant} if $seconds{$variant} > 1;
			}
			$cell{rows} = (split / /, $first // '0')[0];
		}
		my $runs = $repeat;
		for (my $i = 0; $i < $runs; $i++)
		{
			# each goes first in its turn: it finds the caches as another form has left them
			for my $variant (map { $variants[($_ + $i) % @variants] } 0 .. $#variants)
			{
				next if $dead{$variant};
				next if $i >= $repeat && $variant =~ /^policy/;
				# slow ones three times, very slow policies and forms that cannot win once
				next if $i >= 3 && $runs{$variant} && $runs{$variant}[0]{total} > 1500;
				next if $i >= 1 && $variant =~ /^policy/ && $runs{$variant} && $runs{$variant}[0]{total} > 3000;
				next if $i >= 1 && $variant !~ /^(?:ours|policy)/ && $runs{$variant} && $runs{$variant}[0]{total} > 200
					&& grep { $_ ne $variant && !/^(?:ours|policy)/ && $runs{$_} && $runs{$_}[0]{total} * 2 < $runs{$variant}[0]{total} } @variants;
				my $run = $read ? explain($who, $variant, $read->($who, $variant)) : explain_writes($who, $variant, $shape);
				if ($run->{timeout}) { $dead{$variant} = "> @{[ $limit_ms / 1000 ]} s" }
				elsif ($run->{error})
				{
					$dead{$variant} = 'error';
					$wrong++;
					print STDERR "\n  $variant: $run->{error}\n";
				}
				else { push @{ $runs{$variant} }, $run }
			}
			last if !$read && $i >= 2;
			# of a quick one more runs, or the median is the machine's
			$runs = 5 * $repeat if $read && $i == 0 && $runs{ours} && $runs{ours}[0]{total} < 20;
		}
		for my $variant (@variants)
		{
			my $r = $runs{$variant};
			$cell{variants}{$variant} = $dead{$variant} ? { failed => $dead{$variant} }
				: { map { my $k = $_; $k => 0 + sprintf('%.4f', median(map { $_->{$k} } @$r)) } keys %{ $r->[0] } };
		}
		my @hand = sort { $cell{variants}{$a}{total} <=> $cell{variants}{$b}{total} }
			grep { $_ !~ /^(ours|policy)/ && !$cell{variants}{$_}{failed} } @variants;
		my $ours = $cell{variants}{ours};
		if (@hand && $ours && !$ours->{failed})
		{
			my $best = $cell{variants}{ $hand[0] };
			$cell{hand} = $hand[0];
			$cell{ratio} = $ours->{total} / $best->{total};
			$cell{difference} = $ours->{total} - $best->{total};
			# figures under 0.2 ms are judged by their difference
			$cell{small} = $best->{total} < 0.2 ? 1 : 0;
			if ($read && $cell{ratio} > 1.1)
			{
				push @{ $cell{plans} }, plan_text($who, $_, $read->($who, $_)) for 'ours', $hand[0];
			}
		}
		printf STDERR " %10s ms, %s, hand-written %s\n", $ours->{failed} // sprintf('%.3f', $ours->{total} // 0),
			defined $cell{ratio} ? sprintf('%.2f x', $cell{ratio}) : '-',
			join ' ', map { "$_ " . ($cell{variants}{$_}{failed} // sprintf '%.3f', $cell{variants}{$_}{total}) }
			grep { $_ ne 'ours' } @variants;
		push @results, \%cell;
	}
	value("SELECT gin_clean_pending_list('csm.cases_search_idx'), gin_clean_pending_list('csm.cases_subject_trgm_idx')")
		if $shape_re eq '';
}

# --- maps, switches, edge writes ---

my @extras;

sub extra
{
	my ($name, $figure, $unit, $goal, $note) = @_;
	push @extras, { name => $name, value => defined $figure ? 0 + sprintf('%.4f', $figure) : undef, unit => $unit,
		goal => $goal, note => $note // '' };
	printf STDERR "%-70s %s %s\n", $name, defined $figure ? sprintf('%.3f', $figure) : '-', $unit;
}

if ($extras)
{
	# An unrestricted search by a superuser.
	for my $shape ('text rare', 'text common', 'substring')
	{
		# with and without the tenant, whose index gives the order
		my $agent = { person => 0, reach => 'agent' };
		my ($free) = sort { $a <=> $b }
			map { my $v = $_; median(map { explain($agent, $v, $reads{$shape}->($agent, $v))->{total} } 1 .. $repeat) } qw(bare tenant);
		for my $cell (grep { $_->{shape} eq $shape && !$_->{variants}{ours}{failed} && $_->{reach} ne 'nobody' } @results)
		{
			$cell->{unrestricted} = $free;
			$cell->{search_ratio} = $cell->{variants}{ours}{total} / $free;
		}
		extra("unrestricted search, $shape", $free, 'ms', undef);
	}

	# Business time and SLAs, in a database of their own: name|value|unit|limit a line.
	{
		my $s = session();
		(my $script = $0) =~ s/measure\.pl$/slas.sql/;
		for my $line (split /\n/, ask($s, "\\i $script"))
		{
			my ($name, $value, $unit, $limit) = split /\|/, $line;
			extra($name, $value, $unit, $limit ne '' ? $limit : undef) if defined $limit;
		}
		finish($s);
	}

	# First use in a backend whose caches are warm: the map alone.
	my %person = map { split /\|/ } split /\n/, value('SELECT reach, person FROM bench.people');
	for ([ '10000', 10 ], [ '150000', 80 ])
	{
		my ($reach, $goal) = @$_;
		my (@cold, @first);
		for (1 .. 7)
		{
			my $s = session();
			ask($s, 'SELECT 1;');
			my $t = time;
			ask($s, "BEGIN; SET LOCAL csm.user_id = '$person{2}'; SET LOCAL ROLE csm_portal;"
				. "SELECT csm.account_allows(1, 'case_read'); ROLLBACK;");
			push @first, (time - $t) * 1000;
			ask($s, "BEGIN; SET LOCAL csm.user_id = '$person{$reach}'; SET LOCAL ROLE csm_portal;");
			$t = time;
			ask($s, "SELECT csm.account_allows(1, 'case_read');");
			push @cold, (time - $t) * 1000;
			ask($s, 'ROLLBACK;');
			finish($s);
		}
		extra("cold map of $reach accounts", median(@cold), 'ms', $goal);
		extra('first statement of a new connection, 2 accounts', median(@first), 'ms', undef) if $reach eq '10000';
	}

	# Identity switch between people whose maps are there.
	for my $pair ([ '2', '40' ], [ '400', '5000' ], [ '2', '150000' ])
	{
		my $loop = sub {
			my ($a, $b) = @_;
			return value(qq{DO \$\$
				DECLARE t timestamptz; n integer := 2000; a text := '$person{$a}'; b text := '$person{$b}'; x boolean;
				BEGIN
				    FOR i IN 1 .. 2 LOOP
				        t := clock_timestamp();
				        FOR j IN 1 .. n LOOP
				            PERFORM set_config('csm.user_id', CASE WHEN j % 2 = 0 THEN a ELSE b END, true);
				            x := csm.account_allows(j, 'case_read');
				        END LOOP;
				    END LOOP;
				    PERFORM set_config('bench.result', (extract(epoch FROM clock_timestamp() - t) * 1e6 / n)::text, false);
				END \$\$; SELECT current_setting('bench.result');});
		};
		my $same = $loop->($pair->[0], $pair->[0]);
		my $other = $loop->(@$pair);
		extra("warm identity switch, $pair->[0] and $pair->[1] accounts", $other - $same, 'µs', 50,
			sprintf('%.1f µs with the same person', $same));
	}

	# What an unrelated edge write costs the next statement of the person with 150,000 accounts.
	my ($big) = grep { $_->{reach} eq '150000' } @people;
	$big->{visible} //= value("SELECT max(id) FROM csm.cases WHERE account_id = (SELECT min(account_id) FROM bench.ids_$big->{person})");
	my $writer = session();
	my $contacts = value('SELECT contacts_from FROM bench.config');
	for my $shape ('point look-up', 'newest 50')
	{
		my $sql = $reads{$shape}->($big, 'ours');
		my (@quiet, @after);
		explain($big, 'ours', $sql) for 1 .. 3;
		for my $i (1 .. 50)
		{
			push @quiet, explain($big, 'ours', $sql)->{total};
			# accounts that belong to none of the person's
			ask($writer, "UPDATE csm.contacts SET login_enabled = NOT login_enabled WHERE user_id = $contacts + (SELECT id"
				. " FROM csm.accounts a WHERE id > $i * 3571 AND NOT EXISTS (SELECT FROM bench.ids_$big->{person} i WHERE i.account_id = a.id)"
				. ' ORDER BY id LIMIT 1);');
			push @after, explain($big, 'ours', $sql)->{total};
		}
		@after = sort { $a <=> $b } @after;
		extra("150000 accounts, $shape after an unrelated edge write: more", median(@after) - median(@quiet), 'ms', 1,
			sprintf('quiet %.3f, after %.3f, worst of 50 %.3f', median(@quiet), median(@after), $after[-1]));
	}
	finish($writer);

	my ($point) = grep { $_->{reach} eq '150000' && $_->{shape} eq 'point look-up' } @results;
	extra('planning of a point look-up, 150000 accounts', $point->{variants}{ours}{planning}, 'ms', 1) if $point;

	# The whole statement by the clock, parsing and policy expansion included.
	for my $reach ('2', '150000')
	{
		my ($who) = grep { $_->{reach} eq $reach } @people;
		$who->{visible} //= value("SELECT max(id) FROM csm.cases WHERE account_id = (SELECT min(account_id) FROM bench.ids_$who->{person})");
		my %by_clock;
		for my $variant ('ours', 'join')
		{
			my $sql = $reads{'point look-up'}->($who, $variant) . ";\n";
			ask($db, 'BEGIN; ' . identity($who, $variant));
			ask($db, $sql x 50);
			my $t = time;
			ask($db, $sql x 300);
			$by_clock{$variant} = (time - $t) * 1000 / 300;
			ask($db, 'ROLLBACK;');
		}
		extra("point look-up by the client's clock, $reach accounts", $by_clock{ours}, 'ms', undef,
			sprintf('hand-written join %.3f ms', $by_clock{join}));
	}

	my $s = session();
	for my $reach ('2', '10000', '150000')
	{
		ask($s, "BEGIN; SET LOCAL csm.user_id = '$person{$reach}'; SET LOCAL ROLE csm_portal;"
			. " SELECT csm.account_allows(1, 'case_read'); ROLLBACK;");
	}
	for (split /\n/, ask($s, q{SELECT name, coalesce(ident, '-'), total_bytes, used_bytes FROM pg_backend_memory_contexts
		WHERE name LIKE 'csm%' ORDER BY total_bytes}))
	{
		my ($name, $ident, $total, $used) = split /\|/;
		extra("memory: $name $ident", $total / 1024, 'kB', undef);
	}
	finish($s);
}

# --- report ---

sub figure
{
	my ($v) = @_;
	return '—' unless $v;
	return $v->{failed} if $v->{failed};
	my $f = sub { my ($x) = @_; $x >= 100 ? sprintf('%.0f', $x) : $x >= 10 ? sprintf('%.1f', $x) : sprintf('%.2f', $x) };
	return $f->($v->{execution}) . ' + ' . $f->($v->{planning});
}

my ($product, $n, $worst, $worst_at, $raw, $raw_n) = (0, 0, 0, '', 0, 0);
my @missed;
for my $cell (@results)
{
	next unless defined $cell->{ratio};
	my $write = !$reads{ $cell->{shape} };
	if ($write)
	{
		push @missed, sprintf('%s, %s: %.2f (limit 2)', $cell->{reach}, $cell->{shape}, $cell->{ratio})
			if $cell->{shape} eq 'insert' && $cell->{ratio} > 2;
		next;
	}
	$raw += log $cell->{ratio};
	$raw_n++;
	if ($cell->{small})
	{
		push @missed, sprintf('%s, %s: %.3f ms more (limit 0.1)', $cell->{reach}, $cell->{shape}, $cell->{difference})
			if $cell->{difference} > 0.1;
		next;
	}
	$product += log $cell->{ratio};
	$n++;
	($worst, $worst_at) = ($cell->{ratio}, "$cell->{reach}, $cell->{shape}") if $cell->{ratio} > $worst;
	push @missed, sprintf('%s, %s: %.2f (limit 1.5)', $cell->{reach}, $cell->{shape}, $cell->{ratio}) if $cell->{ratio} > 1.5;
	push @missed, sprintf('%s, %s: %.2f (limit 1.2)', $cell->{reach}, $cell->{shape}, $cell->{ratio})
		if $cell->{reach} eq 'agent' && $cell->{shape} eq 'count by state' && $cell->{ratio} > 1.2;
	push @missed, sprintf('%s, %s: %.2f of the unrestricted search (limit 2)', $cell->{reach}, $cell->{shape}, $cell->{search_ratio})
		if defined $cell->{search_ratio} && $cell->{search_ratio} > 2;
}
for (@extras)
{
	push @missed, "$_->{name}: $_->{value} $_->{unit} (limit $_->{goal})" if defined $_->{goal} && $_->{value} > $_->{goal};
}
my $mean = $n ? exp($product / $n) : undef;
my $raw_mean = $raw_n ? exp($raw / $raw_n) : undef;

my $md = sprintf "%s cases, %s accounts; execution + planning in milliseconds, median of %d; ratio of the sums.\n\n",
	$cases, value('SELECT accounts FROM bench.config'), $repeat;
$md .= "| who sees | query | rows | csm | hand-written (fastest form) | ratio | `= ANY (ARRAY(SELECT …))` policy | `IN (SELECT …)` policy | `EXISTS` policy | buffers csm / hand |\n";
$md .= "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|\n";
for my $cell (@results)
{
	my $v = $cell->{variants};
	my $hand = $cell->{hand} ? $v->{ $cell->{hand} } : undef;
	$md .= '| ' . join(' | ', $cell->{reach} =~ /^\d+$/ ? "$cell->{reach} accounts" : $cell->{reach}, $cell->{shape}, $cell->{rows} // '',
		figure($v->{ours}), $hand ? figure($hand) . " ($cell->{hand})" : '—',
		defined $cell->{ratio} ? $cell->{small} ? sprintf('%+.2f ms', $cell->{difference}) : sprintf('%.2f', $cell->{ratio}) : '—',
		(map { figure($v->{"policy_$_"}) } qw(any in exists)),
		sprintf('%s / %s', $v->{ours}{buffers} // '—', $hand ? $hand->{buffers} : '—')) . " |\n";
}
$md .= sprintf "\ncsm ÷ hand-written over reads of 0.2 ms and more: geometric mean %.2f, worst %.2f (%s); over all reads: geometric mean %.2f.\n",
	$mean, $worst, $worst_at, $raw_mean
	if defined $mean;
if (@extras)
{
	$md .= "\n| figure | value | limit | |\n|---|--:|--:|---|\n";
	$md .= sprintf "| %s | %s %s | %s | %s |\n", $_->{name}, $_->{value} // '—', $_->{unit}, $_->{goal} // '', $_->{note} for @extras;
}
$md .= "\nMissed: " . (@missed ? join('; ', @missed) : 'nothing') . ".\n";

my $partial = $reach_re ne '' || $shape_re ne '' || $variant_re ne '';
my $report = { cases => 0 + $cases, when => strftime('%Y-%m-%dT%H:%M:%SZ', gmtime), server => value('SHOW server_version'),
	repeat => $repeat, geometric_mean => $mean, geometric_mean_all => $raw_mean, worst => $worst, worst_at => $worst_at,
	results => \@results, extras => \@extras, missed => \@missed };
open my $plans, '>', $plans_file or die "$plans_file: $!";
for my $cell (sort { $b->{ratio} <=> $a->{ratio} } grep { $_->{plans} } @results)
{
	printf $plans "=== %s, %s: %.2f (%.3f ms, hand-written %s %.3f ms)\n--- csm\n%s\n--- hand-written\n%s\n\n", $cell->{reach},
		$cell->{shape}, $cell->{ratio}, $cell->{variants}{ours}{total}, $cell->{hand}, $cell->{variants}{ $cell->{hand} }{total},
		@{ delete $cell->{plans} };
}
close $plans;
my $name = $ENV{SAVE} // ($partial || $cases < 5_000_000 ? '' : 'latest');
if ($name ne '')
{
	my $folder = $ENV{BENCH_RESULTS};
	mkdir $folder;
	for ([ "$name.json", $json->encode($report) ], [ "$name.md", $md ])
	{
		open my $file, '>', "$folder/$_->[0]" or die "$folder/$_->[0]: $!";
		print $file $_->[1];
		close $file;
	}
}
print $md;
print STDERR "plans of ratios above 1.1: $plans_file\n";
finish($db);
exit($wrong ? 1 : 0);
