# forktail on|off and forktail_format: who gets an id, and of what shape.
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Nginx::Socket;
use Forktail;

# The leading digits of an id that carries the present millisecond: they change every 4.6 hours.
our $Now = CORE::join '|', map { substr sprintf('%012x', (time() + $_) * 1000), 0, 6 } 0, 600;

no_long_string();
repeat_each(2);
plan tests => repeat_each() * 50;
run_tests();

__DATA__



=== TEST 1: without the directive a request has no id
--- config
    location / { return 200 "[$forktail_id]"; }
--- response_body chomp
[]
--- response_headers
! X-Request-ID



=== TEST 2: forktail on in http counts for all servers
--- http_config
    forktail on;
--- config
    location / { return 200 "[$forktail_id]"; }
--- response_body_like eval
qr/^\[$::Hex\]$/



=== TEST 3: forktail on in server
--- config
    forktail on;
    location / { return 200 "[$forktail_id]"; }
--- response_body_like eval
qr/^\[$::Hex\]$/



=== TEST 4: forktail off in server overrules http
--- http_config
    forktail on;
--- config
    forktail off;
    location / { return 200 "[$forktail_id]"; }
--- response_body chomp
[]
--- response_headers
! X-Request-ID



=== TEST 5: where it is off the client's header reaches the upstream untouched
--- config
    location / { proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock; }
--- upstream
--- more_headers
X-Request-ID: a b
x_request_id: c
X-Request-Id: d
--- response_body
X-Request-ID: a b
X-Request-Id: d



=== TEST 6: hex is the default format, with version 7 and variant 10
--- config
    forktail on;
    location / { return 200 $forktail_id; }
--- response_body_like eval
qr/^$::Hex$/



=== TEST 7: hex carries the present time
--- config
    forktail on;
    forktail_format hex;
    location / { return 200 $forktail_id; }
--- response_body_like eval
qr/^($::Now)[0-9a-f]{26}$/



=== TEST 8: uuid is the same with dashes
--- config
    forktail on;
    forktail_format uuid;
    location / { return 200 $forktail_id; }
--- response_body_like eval
qr/^(?=$::Uuid$)(?=(\w|-){36}$)/



=== TEST 9: random does not tell the time
--- config
    forktail on;
    forktail_format random;
    location / { return 200 $forktail_id; }
--- response_body_like eval
qr/^(?!$::Now)[0-9a-f]{32}$/



=== TEST 10: the format is inherited from http
--- http_config
    forktail on;
    forktail_format uuid;
--- config
    location / { return 200 $forktail_id; }
--- response_body_like eval
qr/^$::Uuid$/



=== TEST 11: the format of the server overrules that of http
--- http_config
    forktail on;
    forktail_format uuid;
--- config
    forktail_format hex;
    location / { return 200 $forktail_id; }
--- response_body_like eval
qr/^$::Hex$/



=== TEST 12: pipelined requests have an id each
--- config
    forktail on;
    location / { return 200 $forktail_id; }
--- pipelined_requests eval
["GET /a", "GET /b", "GET /c"]
--- response_body_like eval
[qr/^$::Hex$/, qr/^$::Hex$/, qr/^$::Hex$/]
--- distinct_ids



=== TEST 13: a server chosen by the Host header gives the format
--- http_config
    forktail on;
    server {
        listen $TEST_NGINX_SERVER_PORT;
        server_name other;
        forktail_format uuid;
        location / { return 200 $forktail_id; }
    }
--- config
    location / { return 200 $forktail_id; }
--- more_headers
Host: other
--- response_body_like eval
qr/^$::Uuid$/
