# The response has the id in one header, whatever status it has and whoever else set one.
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Nginx::Socket;
use Forktail;

no_long_string();
repeat_each(2);
plan tests => repeat_each() * 130;
run_tests();

__DATA__



=== TEST 1: a response of nginx itself
--- config
    forktail on;
    location / { return 200 ok; }
--- response_headers_like eval
"X-Request-ID: $::Hex"



=== TEST 2: a static file
--- user_files
>>> a.txt
hello
--- config
    forktail on;
    location / { root html; }
--- request
GET /a.txt
--- response_body
hello
--- response_headers_like eval
"X-Request-ID: $::Hex"



=== TEST 3: 304
--- user_files
>>> a.txt
hello
--- config
    forktail on;
    if_modified_since before;
    location / { root html; }
--- request
GET /a.txt
--- more_headers
If-Modified-Since: Sat, 17 Jan 2099 19:35:33 GMT
--- error_code: 304
--- response_headers_like eval
"X-Request-ID: $::Hex"



=== TEST 4: 204
--- config
    forktail on;
    location / { return 204; }
--- error_code: 204
--- response_headers_like eval
"X-Request-ID: $::Hex"



=== TEST 5: 206
--- user_files
>>> a.txt
hello
--- config
    forktail on;
    location / { root html; }
--- request
GET /a.txt
--- more_headers
Range: bytes=0-1
--- error_code: 206
--- response_headers_like eval
"X-Request-ID: $::Hex"



=== TEST 6: a redirect
--- config
    forktail on;
    location / { return 301 /other; }
--- error_code: 301
--- response_headers_like eval
"X-Request-ID: $::Hex"



=== TEST 7: HEAD
--- config
    forktail on;
    location / { return 200 ok; }
--- request
HEAD /
--- response_headers_like eval
"X-Request-ID: $::Hex"



=== TEST 8: 404
--- config
    forktail on;
    location / { root html; }
--- request
GET /nothing
--- error_code: 404
--- response_headers_like eval
"X-Request-ID: $::Hex"



=== TEST 9: 403
--- config
    forktail on;
    location / { deny all; }
--- error_code: 403
--- response_headers_like eval
"X-Request-ID: $::Hex"



=== TEST 10: 405
--- user_files
>>> a.txt
hello
--- config
    forktail on;
    location / { root html; }
--- request
POST /a.txt
--- error_code: 405
--- response_headers_like eval
"X-Request-ID: $::Hex"



=== TEST 11: 413
--- config
    forktail on;
    location / { client_max_body_size 1; proxy_pass http://unix:$TEST_NGINX_HTML_DIR/none.sock; }
--- request
POST /
hello
--- error_code: 413
--- response_headers_like eval
"X-Request-ID: $::Hex"



=== TEST 12: 400, refused while the headers are read
--- config
    forktail on;
    location / { return 200; }
--- raw_request eval
"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n"
--- error_code: 400
--- response_headers_like eval
"X-Request-ID: $::Hex"



=== TEST 13: 400 for a request without a host
--- config
    forktail on;
    location / { return 200; }
--- raw_request eval
"GET / HTTP/1.1\r\n\r\n"
--- error_code: 400
--- response_headers_like eval
"X-Request-ID: $::Hex"



=== TEST 14: 400 for a request line that is none
--- config
    forktail on;
    location / { return 200; }
--- raw_request eval
"GE\x01T / HTTP/1.1\r\n\r\n"
--- error_code: 400
--- response_headers_like eval
"X-Request-ID: $::Hex"



=== TEST 15: 414
--- http_config
    large_client_header_buffers 2 1k;
--- config
    forktail on;
    location / { return 200; }
--- raw_request eval
"GET /" . "x" x 3000 . " HTTP/1.1\r\nHost: a\r\n\r\n"
--- error_code: 414
--- response_headers_like eval
"X-Request-ID: $::Hex"



=== TEST 16: 494, which is sent as 400
--- http_config
    large_client_header_buffers 2 1k;
--- config
    forktail on;
    location / { return 200; }
--- raw_request eval
"GET / HTTP/1.1\r\nHost: a\r\nA: " . "x" x 3000 . "\r\n\r\n"
--- error_code: 400
--- response_headers_like eval
"X-Request-ID: $::Hex"



=== TEST 17: 505
--- config
    forktail on;
    location / { return 200; }
--- raw_request eval
"GET / HTTP/3.0\r\nHost: a\r\n\r\n"
--- error_code: 505
--- response_headers_like eval
"X-Request-ID: $::Hex"



=== TEST 18: 502
--- config
    forktail on;
    location / { proxy_pass http://127.0.0.1:1; }
--- error_code: 502
--- response_headers_like eval
"X-Request-ID: $::Hex"



=== TEST 19: the upstream's header is replaced
--- config
    forktail on;
    location / { proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock; }
--- upstream
--- upstream_header
X-Request-ID: upstream-1234
--- raw_response_headers_like eval
qr/\nX-Request-ID: $::Hex\r\n/
--- raw_response_headers_unlike: (?is)request-id:.*request-id:



=== TEST 20: all of the upstream's are
--- config
    forktail on;
    location / { proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock; }
--- upstream
--- upstream_header
x-request-id: upstream-1234
A: 1
X-REQUEST-ID: upstream-5678
--- raw_response_headers_like eval
qr/\nA: 1\r\n.*X-Request-ID: $::Hex\r\n/s
--- raw_response_headers_unlike: (?is)request-id:.*request-id:



=== TEST 21: an add_header of old does not double it
--- config
    forktail on;
    add_header X-Request-ID $request_id always;
    location / { return 200 $forktail_id; }
--- raw_response_headers_like eval
qr/\nX-Request-ID: $::Hex\r\n/
--- raw_response_headers_unlike: (?is)request-id:.*request-id:



=== TEST 22: off
--- config
    forktail on;
    forktail_response_header off;
    location / { return 200 $forktail_id; }
--- response_body_like eval
qr/\A$::Hex\z/
--- response_headers
! X-Request-ID



=== TEST 23: off leaves the upstream's header as it is
--- config
    forktail on;
    forktail_response_header off;
    location / { proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock; }
--- upstream
--- upstream_header
X-Request-ID: upstream-1234
--- response_headers
X-Request-ID: upstream-1234



=== TEST 24: off in one location
--- config
    forktail on;
    location / { return 200; }
    location /off { forktail_response_header off; return 200; }
--- request
GET /off
--- response_headers
! X-Request-ID



=== TEST 25: on in one location
--- config
    forktail on;
    forktail_response_header off;
    location / { forktail_response_header on; return 200; }
--- response_headers_like eval
"X-Request-ID: $::Hex"



=== TEST 26: another name than the upstream sees
--- config
    forktail on;
    forktail_response_header X-Ref;
    location / { proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock; }
--- upstream
--- response_body_like eval
qr/\AX-Request-ID: $::Hex\n\z/
--- response_headers_like eval
"X-Ref: $::Hex"
--- raw_response_headers_unlike: X-Request-ID



=== TEST 27: another name in one location
--- config
    forktail on;
    location / { forktail_response_header X-Ref; return 200; }
--- response_headers_like eval
"X-Ref: $::Hex"
--- raw_response_headers_unlike: X-Request-ID



=== TEST 28: on takes the name of forktail_header
--- config
    forktail on;
    forktail_header X-Correlation-ID;
    location / { return 200; }
--- response_headers_like eval
"X-Correlation-ID: $::Hex"
--- raw_response_headers_unlike: X-Request-ID



=== TEST 29: on in a location goes back to the name of forktail_header
--- config
    forktail on;
    forktail_response_header X-Ref;
    location / { forktail_response_header on; return 200; }
--- response_headers_like eval
"X-Request-ID: $::Hex"
--- raw_response_headers_unlike: X-Ref



=== TEST 30: off is inherited from http
--- http_config
    forktail on;
    forktail_response_header off;
--- config
    location / { return 200; }
--- response_headers
! X-Request-ID



=== TEST 31: the value is the request's id
--- config
    forktail on;
    location / { add_header X-Copy $forktail_id; return 200; }
--- raw_response_headers_like eval
qr/X-Copy: ($::Hex)\r\n.*X-Request-ID: \1/s



=== TEST 32: an error page of the configuration
--- config
    forktail on;
    error_page 404 /404.html;
    location = /404.html { internal; return 404 "sorry $forktail_id"; }
    location / { return 404; }
--- error_code: 404
--- response_body_like eval
qr/\Asorry $::Hex\z/
--- response_headers_like eval
"X-Request-ID: $::Hex"



=== TEST 33: a response that is included by a subrequest adds none
--- config
    forktail on;
    location / { ssi on; default_type text/html; return 200 '<!--#include virtual="/a" -->'; }
    location /a { add_header X-A 1; return 200 $forktail_id; }
--- response_body_like eval
qr/\A$::Hex\z/
--- raw_response_headers_unlike: (?is)request-id:.*request-id:



=== TEST 34: a gzipped response
--- config
    forktail on;
    gzip on; gzip_min_length 1; gzip_types text/plain;
    location / { return 200 "hello hello hello hello hello hello"; }
--- more_headers
Accept-Encoding: gzip
--- response_headers_like eval
"X-Request-ID: $::Hex"



=== TEST 35: a response from a cache has the id of its own request, not the stored one
--- http_config
    proxy_cache_path $TEST_NGINX_HTML_DIR/cache keys_zone=c:1m;
    server {
        listen unix:$TEST_NGINX_HTML_DIR/in.sock;
        location / { add_header X-Request-ID stored-1234; add_header Cache-Control max-age=60; return 200 $http_x_request_id; }
    }
--- config
    forktail on;
    location / {
        proxy_cache c;
        proxy_cache_key k;
        add_header X-Cache $upstream_cache_status;
        proxy_pass http://unix:$TEST_NGINX_HTML_DIR/in.sock;
    }
--- pipelined_requests eval
["GET /", "GET /"]
--- response_headers_like eval
["X-Request-ID: $::Hex", "X-Request-ID: $::Hex\nX-Cache: HIT"]
--- raw_response_headers_unlike eval
["stored-1234", "stored-1234"]



=== TEST 36: Off is off, as with nginx's own directives
--- config
    forktail on;
    forktail_response_header Off;
    location / { return 200; }
--- raw_response_headers_unlike: (?i)\n(off|x-request-id):



=== TEST 37: and ON is on
--- config
    forktail on;
    forktail_response_header ON;
    location / { return 200; }
--- response_headers_like eval
"X-Request-ID: $::Hex"
--- raw_response_headers_unlike: (?i)\non:
