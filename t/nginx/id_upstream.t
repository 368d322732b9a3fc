# The upstream gets one header with the id, whatever the client sent and whichever protocol it speaks.
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Nginx::Socket;
use Forktail;

no_long_string();
repeat_each(2);
plan tests => repeat_each() * 79;
run_tests();

__DATA__



=== TEST 1: a request gets the header
--- config
    forktail on;
    location / { proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock; }
--- upstream
--- response_body_like eval
qr/\AX-Request-ID: $::Hex\n\z/



=== TEST 2: a client's copy is replaced
--- config
    forktail on;
    location / { proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock; }
--- more_headers
X-Request-ID: client-1234
--- upstream
--- response_body_like eval
qr/\AX-Request-ID: $::Hex\n\z/



=== TEST 3: all copies of a client are replaced by one
--- config
    forktail on;
    location / { proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock; }
--- more_headers
X-Request-ID: client-1234
X-Request-ID: client-5678
X-Request-ID: client-9abc
--- upstream
--- response_body_like eval
qr/\AX-Request-ID: $::Hex\n\z/



=== TEST 4: underscore variants are removed where nginx lets them through
--- config
    forktail on;
    underscores_in_headers on;
    location / { proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock; }
--- more_headers
X_Request_ID: client-1234
X-Request_ID: client-1234
X_Request-Id: client-1234
--- upstream
--- response_body_like eval
qr/\AX-Request-ID: $::Hex\n\z/



=== TEST 5: an underscore variant is never read as an id
--- config
    forktail on;
    forktail_trust all;
    underscores_in_headers on;
    location / { return 200 "$forktail_id $forktail_id_source [$forktail_client_id]"; }
--- more_headers
X_Request_ID: client-1234
--- response_body_like eval
qr/\A$::Hex generated \[\]\z/



=== TEST 6: the case of the client's header does not matter
--- config
    forktail on;
    location / { proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock; }
--- more_headers
x-request-id: client-1234
X-REQUEST-ID: client-5678
--- upstream
--- response_body_like eval
qr/\AX-Request-ID: $::Hex\n\z/



=== TEST 7: headers of like names stay
--- config
    forktail on;
    location / { proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock; }
--- more_headers
X-Request-ID2: a
X-Request-I: b
Request-ID: c
X-Request-IE: d
--- upstream
--- response_body_like eval
qr/\AX-Request-ID2: a\nX-Request-I: b\nRequest-ID: c\nX-Request-IE: d\nX-Request-ID: $::Hex\n\z/



=== TEST 8: all other headers stay in their order, around copies at every place
--- config
    forktail on;
    location / { proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock; }
--- more_headers
X-Request-ID: client-1
A: 1
X-Request-ID: client-2
X-Request-ID: client-3
B: 2
C: 3
X-Request-ID: client-4
--- upstream
--- response_body_like eval
qr/\AX-Request-ID: $::Hex\nA: 1\nB: 2\nC: 3\n\z/



=== TEST 9: a copy before the Host header leaves the host whole
--- config
    forktail on;
    location / {
        proxy_set_header X-Host $host;
        proxy_set_header X-Agent $http_user_agent;
        proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock;
    }
--- raw_request eval
"GET / HTTP/1.1\r\nX-Request-ID: client-1\r\nHost: example.com\r\nX-Request-ID: client-2\r\nUser-Agent: me\r\nConnection: close\r\n\r\n"
--- upstream
--- response_body_like eval
qr/\AX-Host: example.com\nX-Agent: me\nX-Request-ID: $::Hex\nUser-Agent: me\n\z/



=== TEST 10: fifty headers, more than one part of nginx's list, with copies in each part
--- config
    forktail on;
    location / { proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock; }
--- more_headers eval
CORE::join "\n", map { ("A$_: $_", $_ % 6 ? () : "X-Request-ID: client-$_") } 1 .. 50
--- upstream
--- response_body_like eval
my ($before, $behind) = map { CORE::join '', map { "A$_: $_\n" } @$_ } [1 .. 6], [7 .. 50];
qr/\A${before}X-Request-ID: $::Hex\n$behind\z/



=== TEST 11: a whole part of nginx's list that is nothing but copies
--- config
    forktail on;
    location / { proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock; }
--- more_headers eval
CORE::join "\n", (map { "A$_: $_" } 1 .. 18), (map { "X-Request-ID: client-$_" } 1 .. 45), "B: 1"
--- upstream
--- response_body_like eval
my $all = CORE::join '', map { "A$_: $_\n" } 1 .. 18; qr/\A${all}X-Request-ID: $::Hex\nB: 1\n\z/



=== TEST 12: nothing but copies
--- config
    forktail on;
    location / { proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock; }
--- raw_request eval
"GET / HTTP/1.0\r\nX-Request-ID: client-1\r\nX-Request-ID: client-2\r\n\r\n"
--- upstream
--- response_body_like eval
qr/\AX-Request-ID: $::Hex\n\z/



=== TEST 13: an HTTP/0.9 request, which has no headers, gets the header
--- config
    forktail on;
    location / { proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock; }
--- raw_request eval
"GET /\r\n"
--- http09
--- upstream
--- response_body_like eval
qr/\AX-Request-ID: $::Hex\n\z/



=== TEST 14: a body is passed on behind the header
--- config
    forktail on;
    location / { proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock; }
--- request
POST /
hello
--- upstream
--- response_body_like eval
qr/\AContent-Length: 5\nX-Request-ID: $::Hex\n\z/



=== TEST 15: forktail_header names the header
--- config
    forktail on;
    forktail_header X-Correlation-ID;
    location / { proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock; }
--- more_headers
X-Correlation-Id: client-1234
--- upstream
--- response_body_like eval
qr/\AX-Correlation-ID: $::Hex\n\z/



=== TEST 16: with another name X-Request-ID is a header like any other
--- config
    forktail on;
    forktail_header X-Correlation-ID;
    location / { proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock; }
--- more_headers
X-Request-ID: client-1234
--- upstream
--- response_body_like eval
qr/\AX-Request-ID: client-1234\nX-Correlation-ID: $::Hex\n\z/



=== TEST 17: forktail_header is inherited from http
--- http_config
    forktail on;
    forktail_header X-Correlation-ID;
--- config
    location / { proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock; }
--- upstream
--- response_body_like eval
qr/\AX-Correlation-ID: $::Hex\n\z/



=== TEST 18: forktail_header of the server overrules http
--- http_config
    forktail on;
    forktail_header X-Correlation-ID;
--- config
    forktail_header X-Trace;
    location / { proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock; }
--- more_headers
X-Trace: client-1234
X-Correlation-ID: client-1234
--- upstream
--- response_body_like eval
qr/\AX-Trace: $::Hex\nX-Correlation-ID: client-1234\n\z/



=== TEST 19: the variable of the client's header is the id
--- config
    forktail on;
    location / { return 200 "$http_x_request_id $forktail_id"; }
--- more_headers
X-Request-ID: client-1234
--- response_body_like eval
qr/\A($::Hex) \1\z/



=== TEST 20: a proxy_set_header of old does not double it
--- config
    forktail on;
    location / {
        proxy_set_header X-Request-ID $forktail_id;
        proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock;
    }
--- more_headers
X-Request-ID: client-1234
--- upstream
--- response_body_like eval
qr/\AX-Request-ID: $::Hex\n\z/



=== TEST 21: uwsgi_pass: one HTTP_X_REQUEST_ID
--- config
    forktail on;
    underscores_in_headers on;
    location / { uwsgi_pass unix:$TEST_NGINX_HTML_DIR/up.sock; }
--- more_headers
X-Request-ID: client-1234
X_Request_ID: client-5678
A: 1
--- upstream: uwsgi
--- response_body_like eval
qr/\AHTTP_X_REQUEST_ID=$::Hex\nHTTP_A=1\n\z/



=== TEST 22: scgi_pass: one HTTP_X_REQUEST_ID
--- config
    forktail on;
    underscores_in_headers on;
    location / { scgi_pass unix:$TEST_NGINX_HTML_DIR/up.sock; }
--- more_headers
X-Request-ID: client-1234
X_Request_ID: client-5678
A: 1
--- upstream: scgi
--- response_body_like eval
qr/\AHTTP_X_REQUEST_ID=$::Hex\nHTTP_A=1\n\z/



=== TEST 23: fastcgi_pass: one HTTP_X_REQUEST_ID
--- config
    forktail on;
    underscores_in_headers on;
    location / { fastcgi_pass unix:$TEST_NGINX_HTML_DIR/up.sock; }
--- more_headers
X-Request-ID: client-1234
X_Request_ID: client-5678
A: 1
--- upstream: fastcgi
--- response_body_like eval
qr/\AHTTP_X_REQUEST_ID=$::Hex\nHTTP_A=1\n\z/



=== TEST 24: a header of one's own in the place of the id is warned of, once
--- http_config
    proxy_set_header X-Request-ID $connection;
--- config
    forktail on;
    location / { proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock; }
    location /own { grpc_set_header x-request-id own; proxy_set_header X-Request-ID $msec; }
--- upstream
--- response_body_like eval
qr/\AX-Request-ID: \d+\n\z/
--- grep_error_log eval
qr/"(?:proxy|grpc)_set_header [^"]*" .*? let it say \S+/
--- suppress_stderr
--- grep_error_log_out eval
[<<'_EOC_', '']
"proxy_set_header X-Request-ID $connection" in location "" is sent in the place of the request's id: remove it, or let it say $forktail_id
"proxy_set_header X-Request-ID $msec" in location "/own" is sent in the place of the request's id: remove it, or let it say $forktail_id
"grpc_set_header x-request-id own" in location "/own" is sent in the place of the request's id: remove it, or let it say $forktail_id
_EOC_



=== TEST 25: one that says the id is not
--- config
    forktail on;
    location / {
        proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock;
        proxy_set_header X-Request-ID $request_id;
    }
    location /a { proxy_set_header X-Request-ID $forktail_id; }
    location /b { proxy_set_header X-Request-ID $http_x_request_id; }
    location /c { proxy_set_header X-Request-ID ""; proxy_set_header X-Other 1; }
--- upstream
--- response_body_like eval
qr/\AX-Request-ID: $::Hex\n\z/
--- no_error_log eval
qr/in the place of the request's id/



=== TEST 26: nor is any where forktail is off, or has another header
--- http_config
    server { proxy_set_header X-Request-ID $msec; }
--- config
    forktail on;
    forktail_header X-Correlation-ID;
    location / {
        proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock;
        proxy_set_header X-Request-ID own;
    }
--- upstream
--- response_body_like eval
qr/\AX-Request-ID: own\nX-Correlation-ID: $::Hex\n\z/
--- no_error_log eval
qr/in the place of the request's id/
