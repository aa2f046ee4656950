# count_tap.pl FOLDER STATUS: print "passed failed" over the TAP output that prove left in FOLDER.
# STATUS is prove's exit status: when it is not 0, at least one failure is counted.
use strict;
use warnings;
use File::Find;
use TAP::Parser;

my ($folder, $status) = @ARGV;
my ($passed, $failed) = (0, 0);

sub count_file
{
    return unless -f $_;
    open my $file, '<', $_ or die "$File::Find::name: $!";
    my $tap = join '', <$file>;
    if ($tap eq '')
    {
        $failed++;
        return;
    }
    my $parser = TAP::Parser->new({ tap => $tap });
    $parser->run;
    $passed += $parser->passed;
    $failed += $parser->failed;

    # A script that dies early, or that never says how many tests it has, fails once more.
    my $skipped = defined $parser->skip_all;
    my $planned = $parser->tests_planned;
    $failed++ unless $skipped or (defined $planned and $planned == $parser->tests_run);
}

find({ wanted => \&count_file, no_chdir => 1 }, $folder) if -d $folder;
$failed = 1 if $status and not $failed;
print "$passed $failed\n";
