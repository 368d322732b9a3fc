package Pass;

# What the suites of the pass part share. Sections that it adds to Test::Nginx's:
#
#   --- pass         what stands in / beside forktail_pass, which goes to the block's own server; REMOTE_PORT
#                    is sent empty there, since it changes from request to request
#   --- packet eval  the packet that the server must get, to the byte: ::packet(...)
#   --- app          the server answers with the variables named here as NAME=VALUE lines, in their order
#   --- app_reply    what it answers instead, with \n for each line end, of a head as of a body
#   --- app_body     the server reads and returns a body of so many bytes
#
# Unless a block says otherwise its request is GET / and its error log holds no line of level crit, alert
# or emerg.

use strict;
use warnings;

use Exporter 'import';
use Test::Nginx::Util qw($ServRoot $ServerPort);
use Test::Nginx::Socket ();

our @EXPORT = qw(packet);

Test::Nginx::Socket::no_root_location();
$ENV{TEST_NGINX_HTML_DIR} ||= "$ServRoot/html";
my $socket = "$ENV{TEST_NGINX_HTML_DIR}/app.sock";
my $time = "1700000000.000";

# The packet of GET / without the client's headers but Connection. Named arguments: `with` replaces
# variables, `params` and `headers` (lists of names and values) follow HTTP_HOST and HTTP_CONNECTION, `id`
# is REQUEST_ID, `modifiers` are both.
sub packet {
    my (%args) = @_;
    my $with = $args{with} // {};
    my @variables = (
        QUERY_STRING => '',
        REQUEST_METHOD => 'GET',
        CONTENT_TYPE => '',
        CONTENT_LENGTH => '',
        REQUEST_URI => '/',
        PATH_INFO => '/',
        DOCUMENT_ROOT => $ENV{TEST_NGINX_HTML_DIR},
        SERVER_PROTOCOL => 'HTTP/1.1',
        REQUEST_SCHEME => 'http',
        REMOTE_ADDR => '127.0.0.1',
        REMOTE_PORT => '',
        SERVER_PORT => $ServerPort,
        SERVER_NAME => 'localhost',
        HTTP_HOST => 'localhost',
        @{$args{params} // []},
        $args{no_headers} ? () : (HTTP_CONNECTION => 'close'),
        @{$args{headers} // []},
        defined $args{id} ? (REQUEST_ID => $args{id}) : (),
        FORKTAIL_SENT => $time,
        $args{keep} ? (UWSGI_KEEP_CONN => 1) : (),
    );
    my $vars = '';
    while (my ($name, $value) = splice @variables, 0, 2) {
        $vars .= pack 'v/a* v/a*', $name, $with->{$name} // $value;
    }
    my ($one, $two) = @{$args{modifiers} // [0, 0]};
    return pack('C v C', $one, length $vars, $two) . $vars . ($args{body} // '');
}

sub variables {
    my @pairs = unpack 'x4 (v/a*)*', $_[0];
    my @lines;
    while (my ($name, $value) = splice @pairs, 0, 2) {
        push @lines, [$name, $value];
    }
    return @lines;
}

sub answer {
    my ($names, $request) = @_;
    my %wanted = map { $_ => 1 } split ' ', $names;
    my $body = join '', map { "$_->[0]=$_->[1]\n" } grep { $wanted{$_->[0]} } variables($request);
    return "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: " . length($body) . "\r\n\r\n$body";
}

sub echo {
    my ($size, $request) = @_;
    my $body = substr $request, -$size;
    return "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: $size\r\n\r\n$body";
}

Test::Nginx::Socket::add_block_preprocessor(sub {
    my ($block) = @_;

    if (defined $block->pass) {
        my $directives = $block->pass;
        $block->set_value('config', ($block->config // '') . qq{
            location / { forktail_pass unix:$socket; forktail_param REMOTE_PORT ""; $directives }
        });
    }
    if (defined $block->packet) {
        my $packet = $block->packet;
        my $pattern = quotemeta $packet;
        $pattern =~ s/\Q${\quotemeta $time}\E/\\d{10}\\.\\d{3}/;
        $block->set_value('tcp_query', qr/\A$pattern\z/s);
        $block->set_value('tcp_query_len', length $packet);
    }
    my $reply;
    if (defined $block->app) {
        my $names = $block->app;
        $reply = sub { answer($names, @_) };
    } elsif (defined $block->app_body) {
        my $size = $block->app_body;
        $reply = sub { echo($size, @_) };
        $block->set_value('tcp_query_auto_timeout', '0.3');
    } elsif (defined $block->app_reply) {
        ($reply = $block->app_reply) =~ s/\n/\r\n/g;
    } elsif (defined $block->packet) {
        $reply = "HTTP/1.1 204 No Content\r\n\r\n";
        $block->set_value('error_code', 204) if !defined $block->error_code;
    }
    if (defined $reply) {
        $block->set_value('tcp_listen', $socket);
        $block->set_value('tcp_reply', $reply);
    }
    return if defined $block->must_die;
    if (!defined $block->request && !defined $block->raw_request
        && !defined $block->pipelined_requests) {
        $block->set_value('request', "GET /\n");
    }
    if (!defined $block->no_error_log) {
        $block->set_value('no_error_log', qr/\[(crit|alert|emerg)\]/);
    }
});

1;
