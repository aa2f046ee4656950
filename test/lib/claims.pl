# claims.pl FILE: print each claimed id that no test carries.
#
# FILE has one id a line, such as V4, T15, SM003 or "R2.2 open→resolved"; # begins a comment. A test carries an id
# when its description begins with it: a quoted string in pgTAP, TAP or regression scripts, the text after \echo in a
# regression script, the first word of a comment line in an isolation spec.
use strict;
use warnings;

my $begin = qr/(?:['"]|\$\$|\bq\{|\bqq\{|^\\echo\s+|^\s*#\s*)/m;
my $end = qr/(?=[\s:,.(→'"\$-]|$)/m;

my $tests = '';
for my $path (glob('sql/*.sql test/pgtap/*.sql test/pgtap/*/*.sql test/isolation/specs/*.spec test/t/*.pl'))
{
    open my $file, '<', $path or die "$path: $!";
    local $/;
    $tests .= <$file>;
}

open my $claims, '<', $ARGV[0] or die "$ARGV[0]: $!";
while (my $id = <$claims>)
{
    $id =~ s/#.*//;
    $id =~ s/^\s+|\s+$//g;
    next if $id eq '';
    print "$id is claimed, but no test's description begins with it\n" unless $tests =~ /$begin\Q$id\E$end/;
}
