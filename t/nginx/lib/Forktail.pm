package Forktail;

# What the suites of the id part share. Sections that it adds to Test::Nginx's:
#
#   --- upstream        an upstream at unix:$TEST_NGINX_HTML_DIR/up.sock, which answers one request with
#                       the request's header lines as the body, without Host and Connection
#   --- upstream: uwsgi | scgi | fastcgi
#                       the same, speaking that protocol: one NAME=VALUE a line, HTTP_* only
#   --- upstream_header header lines of its answer
#   --- distinct_ids    each response's body is an id that no other response of the file had
#
# The blocks say what / is: Test::Nginx's own is left out. Unless a block says otherwise its request is GET / and its error log holds no line of level crit,
# alert or emerg.

use strict;
use warnings;

use Exporter 'import';
use Test::More ();
use Test::Nginx::Util qw($ServRoot);
use Test::Nginx::Socket ();

our @EXPORT = qw($Hex $Uuid $Random);

# A UUIDv7 in both spellings.
our $Hex = '[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}';
our $Uuid = '[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}';
our $Random = '[0-9a-f]{32}';

sub http_lines {
    my ($head) = split /\r\n\r\n/, $_[0];
    my (undef, @lines) = split /\r\n/, $head;
    return grep { !/^(Host|Connection):/ } @lines;
}

sub http_variables {
    my @variables = @_;
    my @lines;
    while (my ($name, $value) = splice @variables, 0, 2) {
        push @lines, "$name=$value" if $name =~ /^HTTP_(?!HOST$|CONNECTION$)/;
    }
    return @lines;
}

sub uwsgi_lines {
    return http_variables(unpack 'x4 (v/a*)*', $_[0]);
}

sub scgi_lines {
    my ($head) = $_[0] =~ /^\d+:(.*)\0,/s;
    return http_variables(split /\0/, $head, -1);
}

# Names and values under 128 bytes, as in these tests.
sub fastcgi_lines {
    my $packet = $_[0];
    while (length $packet >= 8) {
        my ($type, $size, $padding) = unpack 'xCx2nC', $packet;
        my $content = substr $packet, 8, $size;
        return http_variables(unpack_pairs($content)) if $type == 4;
        $packet = substr $packet, 8 + $size + $padding;
    }
    return;
}

sub unpack_pairs {
    my ($content) = @_;
    my @pairs;
    while (length $content) {
        my ($name, $value) = unpack 'CC', $content;
        push @pairs, unpack "x2 a$name a$value", $content;
        $content = substr $content, 2 + $name + $value;
    }
    return @pairs;
}

sub answer {
    my ($protocol, $extra, $request) = @_;
    no strict 'refs';
    my $body = join '', map { "$_\n" } &{"${protocol}_lines"}($request);
    my $status = $protocol =~ /^(scgi|fastcgi)$/ ? 'Status: 200 OK' : 'HTTP/1.1 200 OK';
    $extra =~ s/\n/\r\n/g;
    my $response = "$status\r\n${extra}Content-Type: text/plain\r\nContent-Length: "
        . length($body) . "\r\n\r\n$body";
    return $response if $protocol ne 'fastcgi';
    return pack('CCnnCxa*', 1, 6, 1, length $response, 0, $response) . pack('CCnnCxx8', 1, 3, 1, 8, 0);
}

Test::Nginx::Socket::no_root_location();
$ENV{TEST_NGINX_HTML_DIR} ||= "$ServRoot/html";

Test::Nginx::Socket::add_block_preprocessor(sub {
    my ($block) = @_;

    if (defined $block->upstream) {
        my $protocol = $block->upstream || 'http';
        my $extra = $block->upstream_header // '';
        $block->set_value('tcp_listen', "$ENV{TEST_NGINX_HTML_DIR}/up.sock");
        $block->set_value('tcp_reply', sub { answer($protocol, $extra, @_) });
    }
    if (defined $block->must_die) {
        $block->set_value('suppress_stderr', '');
        $block->set_value('error_log', "[emerg]\n" . $block->error_log);
        return;
    }
    if (!defined $block->request && !defined $block->raw_request
        && !defined $block->pipelined_requests) {
        $block->set_value('request', "GET /\n");
    }
    if (!defined $block->no_error_log) {
        $block->set_value('no_error_log', qr/\[(crit|alert|emerg)\]/);
    }
});

my %seen;
Test::Nginx::Socket::add_response_body_check(sub {
    my ($block, $body) = @_;
    return if !defined $block->distinct_ids;
    chomp $body;
    Test::More::ok(length $body >= 8 && !$seen{$body}++, $block->name . " - the id $body is new");
});

1;
