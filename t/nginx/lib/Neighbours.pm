package Neighbours;

# For suites beside Debian's packages of other modules: has them loaded, with ours in their midst as an
# administrator's alphabet would have it. To be used before Test::Nginx. Without the modules, as beside
# an nginx built by hand, the suite is skipped.

use strict;
use warnings;

use Test::More ();

my @before = qw(ndk_http ngx_http_echo);
my @after = qw(ngx_http_headers_more_filter ngx_http_js ngx_http_lua ngx_http_subs_filter);

my ($directory) = `$ENV{TEST_NGINX_BINARY} -V 2>&1` =~ /--modules-path=(\S+)/;
sub file_of { return ($directory // '') . "/$_[0]_module.so" }

if (my ($missing) = grep { !-e file_of($_) } @before, @after) {
    Test::More::plan(skip_all => "this nginx has no $missing module");
}
$ENV{TEST_NGINX_LOAD_MODULES} = join ' ', (map { file_of($_) } @before), $ENV{TEST_NGINX_LOAD_MODULES},
    (map { file_of($_) } @after);

1;
