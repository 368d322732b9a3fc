# Every error-log line of a request ends in its id, and no line of another one does.
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Nginx::Socket;
use Forktail;

no_long_string();
repeat_each(2);
plan tests => repeat_each() * 107;
run_tests();

__DATA__



=== TEST 1: a line ends in the id
--- config
    forktail on;
    location / { root html; }
--- request
GET /nothing
--- error_code: 404
--- error_log eval
qr/\[error\] .* failed .*, client: 127\.0\.0\.1, server: localhost, request: "GET \/nothing HTTP\/1\.1", host: "localhost", request_id: "$::Hex"$/



=== TEST 2: the id is that of the response
--- config
    forktail on; forktail_trust all;
    location / { root html; }
--- more_headers
X-Request-ID: client-1234
--- request
GET /nothing
--- error_code: 404
--- error_log
, host: "localhost", request_id: "client-1234"



=== TEST 3: off in server
--- config
    forktail on;
    forktail_error_log off;
    location / { root html; }
--- request
GET /nothing
--- error_code: 404
--- error_log
failed
--- no_error_log
request_id



=== TEST 4: off in http is inherited
--- http_config
    forktail on;
    forktail_error_log off;
--- config
    location / { root html; }
--- request
GET /nothing
--- error_code: 404
--- error_log
failed
--- no_error_log
request_id



=== TEST 5: on in server overrules http
--- http_config
    forktail on;
    forktail_error_log off;
--- config
    forktail_error_log on;
    location / { root html; }
--- request
GET /nothing
--- error_code: 404
--- error_log eval
qr/, request_id: "$::Hex"$/



=== TEST 6: a server where forktail is off has no id in its lines
--- http_config
    forktail on;
--- config
    forktail off;
    location / { root html; }
--- request
GET /nothing
--- error_code: 404
--- error_log
failed
--- no_error_log
request_id



=== TEST 7: a line that nginx cuts for a long request ends in the whole id
--- config
    forktail on; forktail_trust all;
    location / { deny all; }
--- request eval
"GET /?" . "x" x 3000
--- more_headers
X-Request-ID: client-1234
--- error_code: 403
--- error_log eval
qr/^(?=.{2000,2047}$).*, request: "GET .*x, request_id: "client-1234"$/



=== TEST 8: and has the longest length that nginx allows
--- config
    forktail on;
    location / { deny all; }
--- request eval
"GET /?" . "x" x 3000
--- error_code: 403
--- error_log eval
qr/^(?=.{2047}$).*x, request_id: "$::Hex"$/



=== TEST 9: a line whose message alone is too long makes way for the id
--- config
    forktail on;
    location / { root html; }
--- request eval
"GET /" . "x" x 3000
--- error_code: 404
--- error_log eval
qr/^(?=.{2047}$).*open\(\) ".*xxx[^"]*, request_id: "$::Hex"$/



=== TEST 10: every length of a request around the limit ends in the whole id
--- config
    forktail on;
    location / { deny all; }
--- pipelined_requests eval
[map { "GET /?" . "x" x $_ } map { 1730 + 20 * $_ } 0 .. 15]
--- error_code eval
[(403) x 16]
--- no_error_log eval
[qr/\[error\](?!.*request_id: "$::Hex"$)/, qr/^.{2048}/]



=== TEST 11: the longest id in a line that is too long
--- config
    forktail on; forktail_trust all;
    location / { root html; }
--- more_headers eval
"X-Request-ID: " . "i" x 128
--- request eval
"GET /" . "x" x 3000
--- error_code: 404
--- error_log eval
qr/^(?=.{2047}$).*x, request_id: "i{128}"$/



=== TEST 12: lines of level info and notice as well
--- config
    forktail on;
    rewrite_log on;
    location / { rewrite ^/a /b; return 200; }
--- request
GET /a
--- log_level: notice
--- error_log eval
qr/\[notice\] .*"\^\/a" matches "\/a".*, request_id: "$::Hex"$/



=== TEST 13: an upstream's error
--- config
    forktail on;
    location / { proxy_pass http://127.0.0.1:1; }
--- error_code: 502
--- error_log eval
qr/connect\(\) .* while connecting to upstream, .*, upstream: "http:.*", host: "localhost", request_id: "$::Hex"$/



=== TEST 14: a subrequest's line has the id of the request
--- config
    forktail on; forktail_trust all;
    location / { auth_request /auth; return 200; }
    location = /auth { root html; }
    location /ok { auth_request /auth; root html; }
--- request
GET /ok
--- more_headers
X-Request-ID: client-1234
--- error_code: 500
--- error_log eval
qr/subrequest: "\/auth", .*request_id: "client-1234"$/



=== TEST 15: a line after an internal redirect
--- config
    forktail on; forktail_trust all;
    location / { try_files /none /b; }
    location /b { deny all; }
--- more_headers
X-Request-ID: client-1234
--- error_code: 403
--- error_log eval
qr/access forbidden by rule, .*request_id: "client-1234"$/



=== TEST 16: a line after an error page
--- config
    forktail on; forktail_trust all;
    error_page 403 = @denied;
    location / { deny all; }
    location @denied { root html; }
--- more_headers
X-Request-ID: client-1234
--- request
GET /nothing
--- error_code: 404
--- grep_error_log eval
qr/(forbidden|open\(\)).*request_id: "client-1234"$/
--- grep_error_log_out eval
qr/\Aforbidden[^\n]*\nopen[^\n]*\n\z/



=== TEST 17: requests of one connection do not mix
--- config
    forktail on; forktail_trust all;
    location / { deny all; }
--- raw_request eval
"GET /a HTTP/1.1\r\nHost: a\r\nX-Request-ID: client-aaaa\r\n\r\n"
. "GET /b HTTP/1.1\r\nHost: a\r\n\r\n"
. "GET /c HTTP/1.1\r\nHost: a\r\nX-Request-ID: client-cccc\r\nConnection: close\r\n\r\n"
--- ignore_response
--- error_log eval
[qr/"GET \/a .*: "client-aaaa"$/, qr/"GET \/b .*: "$::Hex"$/, qr/"GET \/c .*: "client-cccc"$/]



=== TEST 18: the id of the request before is not on a line between two requests
--- config
    forktail on; forktail_trust all;
    location / { return 200; }
--- raw_request eval
"GET / HTTP/1.1\r\nHost: a\r\nX-Request-ID: client-1234\r\n\r\nGE\x01T / HTTP/1.1\r\n\r\n"
--- log_level: info
--- ignore_response
--- error_log
client sent invalid method
--- no_error_log eval
qr/invalid method.*client-1234/



=== TEST 19: a client that gives up
--- config
    forktail on;
    location / { proxy_pass http://unix:$TEST_NGINX_HTML_DIR/none.sock; }
--- raw_request eval
"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc"
--- shutdown: 1
--- log_level: info
--- ignore_response
--- error_log eval
qr/client prematurely closed connection.*, request_id: "$::Hex"$/



=== TEST 20: a trusted peer's value that would forge the end of the line is not in it
--- config
    forktail on; forktail_trust all;
    location / { deny all; }
--- more_headers
X-Request-ID: client-1234", request_id: "forged-5678
--- error_code: 403
--- log_level: info
--- error_log eval
qr/ access forbidden by rule, .*, host: "localhost", request_id: "$::Hex"$/
--- no_error_log
client-1234



=== TEST 21: client, server and request stand together, as log watchers want them
--- config
    forktail on;
    location / { deny all; }
--- error_code: 403
--- error_log eval
qr/ access forbidden by rule, client: 127\.0\.0\.1, server: \S*, request: "GET \/ HTTP\/1\.1", /
