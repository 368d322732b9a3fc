# What users of other servers and modules have asked for, each wish as its own block.
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Nginx::Socket;
use Forktail;

no_long_string();
repeat_each(2);
plan tests => repeat_each() * 60;
run_tests();

__DATA__



=== TEST 1: the request's id is in the error log
--- config
    forktail on;
    location / { deny all; }
--- error_code: 403
--- error_log eval
qr/, request_id: "$::Hex"$/



=== TEST 2: edge trust by socket peer: a client outside can not choose the id
--- config
    forktail on;
    forktail_trust 10.0.0.0/8;
    set_real_ip_from 127.0.0.1;
    real_ip_header X-Forwarded-For;
    location / { return 200 "$remote_addr $forktail_id_source"; }
--- more_headers
X-Forwarded-For: 10.0.0.1
X-Request-ID: forged-id-1234
--- response_body chomp
10.0.0.1 replaced



=== TEST 3: edge trust by socket peer: the proxy in front keeps its id
--- config
    forktail on;
    forktail_trust 127.0.0.1;
    set_real_ip_from 127.0.0.1;
    real_ip_header X-Forwarded-For;
    location / { return 200 "$remote_addr $forktail_id"; }
--- more_headers
X-Forwarded-For: 192.0.2.1
X-Request-ID: from-the-proxy
--- response_body chomp
192.0.2.1 from-the-proxy



=== TEST 4: no log injection by an id
--- http_config
    log_format raw escape=none "<$forktail_id|$forktail_client_id>";
--- config
    forktail on; forktail_trust all;
    access_log logs/access.log raw;
    location / { deny all; }
--- more_headers eval
"X-Request-ID: x\" \e[31m\x7f \\n"
--- error_code: 403
--- access_log eval
qr/^<$::Hex\|x\\x22 \\x1B\[31m\\x7F \\x5Cn>$/



=== TEST 5: no unbounded value from a client
--- http_config
    log_format raw escape=none "<$forktail_id|$forktail_client_id>";
--- config
    forktail on; forktail_trust all;
    access_log logs/access.log raw;
    location / { return 200; }
--- more_headers eval
"X-Request-ID: " . "a" x 4000
--- access_log eval
qr/^<$::Hex\|a{64}>$/



=== TEST 6: accept or else generate, without a map: accept
--- config
    forktail on; forktail_trust all;
    location / { return 200 $forktail_id; }
--- more_headers
X-Request-ID: client-1234
--- response_body chomp
client-1234



=== TEST 7: accept or else generate, without a map: generate
--- config
    forktail on; forktail_trust all;
    location / { return 200 $forktail_id; }
--- response_body_like eval
qr/\A$::Hex\z/



=== TEST 8: the same id in an auth subrequest
--- http_config
    server { listen unix:$TEST_NGINX_HTML_DIR/in.sock; location / { add_header X-Saw $http_x_request_id; return 200; } }
--- config
    forktail on; forktail_trust all;
    location / {
        auth_request /auth;
        auth_request_set $saw $upstream_http_x_saw;
        add_header X-Auth-Saw $saw;
        proxy_pass http://unix:$TEST_NGINX_HTML_DIR/in.sock;
    }
    location = /auth { proxy_pass http://unix:$TEST_NGINX_HTML_DIR/in.sock:/auth; }
--- more_headers
X-Request-ID: client-1234
--- response_headers
X-Auth-Saw: client-1234
X-Saw: client-1234



=== TEST 9: the same id in a mirrored request
--- http_config
    log_format m "$uri saw $http_x_request_id";
    server { listen unix:$TEST_NGINX_HTML_DIR/in.sock; access_log logs/access.log m; location / { return 200; } }
--- config
    forktail on; forktail_trust all;
    location / { mirror /m; proxy_pass http://unix:$TEST_NGINX_HTML_DIR/in.sock; }
    location = /m { internal; proxy_pass http://unix:$TEST_NGINX_HTML_DIR/in.sock:/mirrored; }
--- more_headers
X-Request-ID: client-1234
--- access_log
/ saw client-1234
/mirrored saw client-1234



=== TEST 10: an add_header in a location does not lose the id
--- config
    forktail on;
    add_header X-Outer 1;
    location / { add_header X-Inner 1; return 200; }
--- response_headers_like eval
"X-Inner: 1\nX-Request-ID: $::Hex"



=== TEST 11: no doubled header when the application echoes the id
--- http_config
    server { listen unix:$TEST_NGINX_HTML_DIR/in.sock; location / { add_header X-Request-ID $http_x_request_id; return 200; } }
--- config
    forktail on;
    location / { proxy_pass http://unix:$TEST_NGINX_HTML_DIR/in.sock; }
--- raw_response_headers_like eval
qr/\nX-Request-ID: $::Hex\r\n/
--- raw_response_headers_unlike: (?is)request-id:.*request-id:



=== TEST 12: no stale header from a cache
--- http_config
    proxy_cache_path $TEST_NGINX_HTML_DIR/cache keys_zone=c:1m;
    server {
        listen unix:$TEST_NGINX_HTML_DIR/in.sock;
        location / { add_header X-Request-ID $http_x_request_id; add_header Cache-Control max-age=60; return 200; }
    }
--- config
    forktail on; forktail_trust all;
    location / {
        proxy_cache c;
        proxy_cache_key k;
        proxy_pass http://unix:$TEST_NGINX_HTML_DIR/in.sock;
    }
--- pipelined_requests eval
["GET /", "GET /"]
--- more_headers eval
["X-Request-ID: client-1111\n", "X-Request-ID: client-2222\n"]
--- response_headers eval
["X-Request-ID: client-1111", "X-Request-ID: client-2222"]



=== TEST 13: the id is on error pages
--- config
    forktail on;
    location / { return 503; }
--- error_code: 503
--- response_headers_like eval
"X-Request-ID: $::Hex"



=== TEST 14: the id never changes in the middle of a request
--- config
    forktail on;
    error_page 404 = @c;
    location / { set $a $http_x_request_id; try_files /none /b; }
    location /b { set $b $http_x_request_id; root html; }
    location @c { ssi on; default_type text/html; return 200 "$a $b $forktail_id <!--#include virtual=\"/d\" -->"; }
    location /d { return 200 $forktail_id; }
--- response_body_like eval
qr/\A($::Hex) \1 \1 \1\z/



=== TEST 15: a choice of format
--- config
    forktail on; forktail_format uuid;
    location / { return 200 $forktail_id; }
--- response_body_like eval
qr/\A$::Uuid\z/



=== TEST 16: an off switch
--- http_config
    forktail on;
--- config
    forktail off;
    location / { proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock; }
--- more_headers
X-Request-ID: whatever it is
--- upstream
--- response_body
X-Request-ID: whatever it is
--- response_headers
! X-Request-ID



=== TEST 17: one id through grpc_pass as well
--- http_config
    server {
        listen unix:$TEST_NGINX_HTML_DIR/in.sock http2;
        location / { add_header X-Saw $http_x_request_id; return 200; }
    }
--- config
    forktail on; forktail_trust all;
    location / { grpc_pass grpc://unix:$TEST_NGINX_HTML_DIR/in.sock; }
--- more_headers
X-Request-ID: client-1234
--- response_headers
X-Saw: client-1234
X-Request-ID: client-1234
