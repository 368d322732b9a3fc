# One request has one id for its whole life.
#
# nginx keeps the values of variables over a redirect, so what was before it is read from the header that
# POST_READ has set, and copied: $forktail_id is first asked for after the redirect.
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Nginx::Socket;
use Forktail;

no_long_string();
repeat_each(2);
plan tests => repeat_each() * 67;
run_tests();

__DATA__



=== TEST 1: an internal redirect by try_files
--- config
    forktail on;
    location / { set $before $http_x_request_id; try_files /none /b; }
    location /b { return 200 "$before $forktail_id"; }
--- response_body_like eval
qr/\A($::Hex) \1\z/



=== TEST 2: an internal redirect by an index
--- user_files
>>> index.html
<!--#echo var="forktail_id" --> <!--#echo var="before" -->
--- config
    forktail on;
    set $before $http_x_request_id;
    location / { root html; ssi on; }
--- response_body_like eval
qr/\A($::Hex) \1\n\z/



=== TEST 3: a rewrite to another location
--- config
    forktail on;
    location / { set $before $http_x_request_id; rewrite ^ /b last; }
    location /b { return 200 "$before $forktail_id"; }
--- response_body_like eval
qr/\A($::Hex) \1\z/



=== TEST 4: an error page
--- config
    forktail on;
    error_page 404 = /b;
    location / { set $before $http_x_request_id; return 404; }
    location /b { return 200 "$before $forktail_id"; }
--- response_body_like eval
qr/\A($::Hex) \1\z/



=== TEST 5: a named location
--- config
    forktail on;
    error_page 404 = @b;
    location / { set $before $http_x_request_id; root html; }
    location @b { return 200 "$before $forktail_id"; }
--- request
GET /nothing
--- response_body_like eval
qr/\A($::Hex) \1\z/



=== TEST 6: an id that nobody asked for before the redirect
--- config
    forktail on; forktail_trust all;
    location / { try_files /none @b; }
    location @b { return 200 "$forktail_id_source $forktail_id"; }
--- more_headers
X-Request-ID: client-1234
--- response_body chomp
accepted client-1234



=== TEST 7: the upstream of a named location gets one header
--- config
    forktail on;
    error_page 404 = @b;
    location / { root html; }
    location @b { proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock; }
--- request
GET /nothing
--- more_headers
X-Request-ID: client-1234
--- upstream
--- response_body_like eval
qr/\AX-Request-ID: $::Hex\n\z/



=== TEST 8: X-Accel-Redirect
--- config
    forktail on;
    location / { set $before $http_x_request_id; proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock; }
    location /b { internal; return 200 "$before $forktail_id"; }
--- upstream
--- upstream_header
X-Accel-Redirect: /b
--- response_body_like eval
qr/\A($::Hex) \1\z/



=== TEST 9: auth_request: the authorizing upstream sees the id
--- config
    forktail on;
    location / { auth_request /auth; auth_request_set $auth $upstream_http_x_saw; set $x ""; root html; add_header X-Auth $auth; }
    location = /auth { proxy_pass http://unix:$TEST_NGINX_HTML_DIR/in.sock; }
--- http_config
    server { listen unix:$TEST_NGINX_HTML_DIR/in.sock; location / { add_header X-Saw $http_x_request_id; return 200; } }
--- user_files
>>> a.txt
hello
--- request
GET /a.txt
--- raw_response_headers_like eval
qr/X-Auth: ($::Hex)\r\nX-Request-ID: \1\r\n/



=== TEST 10: mirror: the mirrored request has the id
--- http_config
    log_format m "mirrored $http_x_request_id";
    server {
        listen unix:$TEST_NGINX_HTML_DIR/in.sock;
        location / { access_log logs/access.log m; return 200; }
    }
--- config
    forktail on; forktail_trust all;
    location / { mirror /m; mirror_request_body off; proxy_pass http://unix:$TEST_NGINX_HTML_DIR/in.sock:/; }
    location = /m { internal; proxy_pass http://unix:$TEST_NGINX_HTML_DIR/in.sock:/mirror; }
--- more_headers
X-Request-ID: client-1234
--- access_log
mirrored client-1234
--- no_access_log
mirrored -



=== TEST 11: a subrequest by SSI
--- config
    forktail on;
    location / { ssi on; default_type text/html; return 200 "$forktail_id <!--#include virtual=\"/b\" -->"; }
    location /b { return 200 $forktail_id; }
--- response_body_like eval
qr/\A($::Hex) \1\z/



=== TEST 12: a subrequest's upstream gets the id of the request
--- config
    forktail on; forktail_trust all;
    location / { ssi on; default_type text/html; return 200 '<!--#include virtual="/b" -->'; }
    location /b { proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock; }
--- more_headers
X-Request-ID: client-1234
--- upstream
--- response_body
X-Request-ID: client-1234



=== TEST 13: add_before_body
--- config
    forktail on;
    location / { add_before_body /b; default_type text/html; return 200 $forktail_id; }
    location /b { return 200 "$forktail_id "; }
--- response_body_like eval
qr/\A($::Hex) \1\z/



=== TEST 14: a retry at the next upstream
--- http_config
    upstream u {
        server unix:$TEST_NGINX_HTML_DIR/in.sock max_fails=0;
        server unix:$TEST_NGINX_HTML_DIR/in.sock max_fails=0 backup;
    }
    log_format r "try $http_x_request_id";
    server { listen unix:$TEST_NGINX_HTML_DIR/in.sock; access_log logs/access.log r; location / { return 503; } }
--- config
    forktail on; forktail_trust all;
    location / {
        proxy_next_upstream http_503;
        add_header X-Tried $upstream_status always;
        proxy_pass http://u;
    }
--- more_headers
X-Request-ID: client-1234
--- error_code: 503
--- response_headers
X-Tried: 503, 503
--- access_log
try client-1234
--- no_access_log
try -



=== TEST 15: an error page fetched from an upstream for a request refused while its headers were read
--- config
    forktail on;
    error_page 400 /b;
    location /b { proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock; }
--- raw_request eval
"GET / HTTP/1.1\r\nX-Request-ID: client-1234\r\nHost: a\r\nHost: b\r\n\r\n"
--- upstream
--- error_code: 400
--- response_body_like eval
qr/\AX-Request-ID: $::Hex\n\z/



=== TEST 16: variable, upstream, response and access log agree
--- http_config
    log_format i "logged $forktail_id sent $sent_http_x_request_id up $upstream_http_x_saw";
    server { listen unix:$TEST_NGINX_HTML_DIR/in.sock; access_log off; location / { add_header X-Saw $http_x_request_id; return 200; } }
--- config
    forktail on;
    access_log logs/access.log i;
    location / { proxy_pass http://unix:$TEST_NGINX_HTML_DIR/in.sock; }
--- access_log eval
qr/logged ($::Hex) sent \1 up \1/



=== TEST 17: a request that is refused early has an id in the access log
--- http_config
    log_format i "logged $forktail_id $status";
--- config
    forktail on;
    access_log logs/access.log i;
    location / { return 200; }
--- raw_request eval
"GET / HTTP/1.1\r\n\r\n"
--- error_code: 400
--- access_log eval
qr/logged $::Hex 400/



=== TEST 18: a request that gets no response has an id in the access log
--- http_config
    log_format i "logged $forktail_id $status";
--- config
    forktail on;
    access_log logs/access.log i;
    location / { return 444; }
--- ignore_response
--- access_log eval
qr/logged $::Hex 444/
--- wait: 0.1



=== TEST 19: the same at a named location, which begins behind the server's rewrites
--- config
    forktail on; forktail_trace_context on;
    error_page 400 @b;
    location @b { proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock; }
--- raw_request eval
"GET / HTTP/1.1\r\nX-Request-ID: client-1234\r\ntraceparent: 00-${\('1' x 32)}-${\('2' x 16)}-01\r\nHost: a\r\nHost: b\r\n\r\n"
--- upstream
--- error_code: 400
--- response_body_like eval
qr/\AX-Request-ID: ($::Hex)\ntraceparent: 00-\1-(?!2{16})[0-9a-f]{16}-02\n\z/



=== TEST 20: and for a header that is too large, with another protocol
--- http_config
    large_client_header_buffers 2 1k;
--- config
    forktail on;
    error_page 494 = @b;
    location @b { uwsgi_pass unix:$TEST_NGINX_HTML_DIR/up.sock; }
--- raw_request eval
"GET / HTTP/1.1\r\nHost: a\r\nX-Request-ID: client-1234\r\nA: " . "x" x 3000 . "\r\n\r\n"
--- upstream: uwsgi
--- response_body_like eval
qr/\AHTTP_X_REQUEST_ID=$::Hex\n\z/



=== TEST 21: what a named location rewrites by the header is rewritten by the id
--- config
    forktail on;
    error_page 400 = @b;
    location @b { set $before $http_x_request_id; return 200 "$before $forktail_id"; }
--- raw_request eval
"GET / HTTP/1.1\r\nX-Request-ID: client-1234\r\n\r\n"
--- response_body_like eval
qr/\A($::Hex) \1\z/



=== TEST 22: a server without locations rewrites once
--- user_files
>>> a/a.txt
hello
--- config
    forktail on;
    rewrite ^(.*)$ /a$1;
    root html;
--- request
GET /a.txt
--- response_body
hello
