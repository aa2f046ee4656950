#!/usr/bin/perl
# README against what there is: reference.pl errcodes.h < names of the catalogue (reference.sql). Run in the top folder.
# Prints one line for each table that README's reference does not name, each function that is in no first cell of a table,
# each that does not exist or has other parameters in the catalogue, and each SQLSTATE that csm raises and the table of errors lacks,
# or that the table has and csm does not raise.
use strict;
use warnings;

sub slurp
{
	local $/;
	open my $file, '<', $_[0] or die "$_[0]: $!\n";
	return scalar <$file>;
}

my $readme = slurp('README.md');
my ($errors) = $readme =~ /^### Errors\n(.*?)^##/ms;
my ($tables) = $readme =~ /^### Tables\n(.*?)^###/ms;
my $cells = join "\n", $readme =~ /^\| ([^|]+) \|/mg;

my (%parameters, @relations);
while (my $line = <STDIN>)
{
	chomp $line;
	if ($line =~ /^(\w+)\((.*)\)$/) { $parameters{$1}{$2} = 1 }
	else { push @relations, $line }
}
die "the catalogue has no function of csm\n" unless %parameters;

for my $relation (@relations)
{
	print "README's tables lack $relation\n" unless $tables =~ /`\Q$relation\E`/;
}
for my $name (sort keys %parameters)
{
	print "README's reference lacks csm.$name()\n" unless $cells =~ /(?:`|`csm\.)\Q$name\E[`(]/;
}

# As README writes them: csm.add_contact(account_id, of_account DEFAULT NULL). What has … or a value in it is an example.
while ($cells =~ /`(?:csm\.)?(\w+)\(([^()`]*)\)/g)
{
	my ($name, $given) = ($1, $2);
	next if $given =~ /…|'|\d|\$/;
	$given =~ s/ DEFAULT [^,]*//g;
	if (!$parameters{$name}) { print "README names $name($given), which does not exist\n" }
	elsif (!$parameters{$name}{$given} && ($given ne '' || $parameters{$name}{''}))
	{
		print "README says $name($given), the catalogue $name(", join(') or (', sort keys %{ $parameters{$name} }), ")\n";
	}
}

my %relation = map { $_ => 1 } @relations;
while ($readme =~ /\bcsm\.(\w+)\(/g)
{
	print "README names csm.$1(), which does not exist\n" unless $parameters{$1} || $relation{$1};
}

my (%state, %raised);
for my $header ($ARGV[0], 'src/csm_errors.h')
{
	my $text = slurp($header);
	while ($text =~ /^#define (ERRCODE_\w+)\s+MAKE_SQLSTATE\('(\w)','(\w)','(\w)','(\w)','(\w)'\)/mg) { $state{$1} = "$2$3$4$5$6" }
	while ($text =~ /^#define (ERRCODE_\w+)\s+MAKE_SQLSTATE\('(\w)', '(\w)', '(\w)', '(\w)', '(\w)'\)/mg) { $state{$1} = "$2$3$4$5$6" }
}
for my $source (glob 'src/*.c')
{
	my $text = slurp($source);
	$raised{ $state{$1} // $1 } = $source while $text =~ /\b(ERRCODE_\w+)/g;
}
for my $part (glob 'sql/install/*.sql')
{
	my $text = slurp($part);
	$raised{$1} = $part while $text =~ /ERRCODE = '(\w{5})'/g;
}
my %listed = map { $_ => 1 } join("\n", $errors =~ /^\| ([^|]+) \|/mg) =~ /`(\w{5})`/g;
for my $code (sort keys %raised)
{
	print "README's errors lack $code, which $raised{$code} raises\n" unless $listed{$code};
}
for my $code (sort keys %listed)
{
	print "README's errors have $code, which nothing raises\n" unless $raised{$code};
}
