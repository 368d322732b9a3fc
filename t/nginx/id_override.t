# forktail_override_request_id: the built-in $request_id yields the id.
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Nginx::Socket;
use Forktail;

no_long_string();
repeat_each(2);
plan tests => repeat_each() * 27;
run_tests();

__DATA__



=== TEST 1: on by default
--- config
    forktail on;
    location / { return 200 "$request_id $forktail_id"; }
--- response_body_like eval
qr/\A($::Hex) \1\z/



=== TEST 2: on
--- http_config
    forktail_override_request_id on;
--- config
    forktail on;
    location / { return 200 "$request_id $forktail_id"; }
--- response_body_like eval
qr/\A($::Hex) \1\z/



=== TEST 3: off, spelled out
--- http_config
    forktail_override_request_id off;
--- config
    forktail on;
    location / { return 200 "$request_id $forktail_id"; }
--- response_body_like eval
qr/\A([0-9a-f]{32}) (?!\1)$::Hex\z/



=== TEST 4: nginx's own id where forktail is off
--- http_config
    forktail_override_request_id on;
--- config
    location / { return 200 "[$request_id] [$forktail_id]"; }
--- response_body_like eval
qr/\A\[[0-9a-f]{32}\] \[\]\z/



=== TEST 5: an accepted id
--- http_config
    forktail_override_request_id on;
--- config
    forktail on; forktail_trust all;
    location / { return 200 $request_id; }
--- more_headers
X-Request-ID: client-1234
--- response_body chomp
client-1234



=== TEST 6: in another format
--- http_config
    forktail_override_request_id on;
--- config
    forktail on; forktail_format uuid;
    location / { return 200 $request_id; }
--- response_body_like eval
qr/\A$::Uuid\z/



=== TEST 7: in proxy_set_header
--- http_config
    forktail_override_request_id on;
--- config
    forktail on; forktail_trust all;
    location / {
        proxy_set_header X-Trace $request_id;
        proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock;
    }
--- more_headers
X-Request-ID: client-1234
--- upstream
--- response_body
X-Trace: client-1234
X-Request-ID: client-1234



=== TEST 8: in a log format and a map
--- http_config
    forktail_override_request_id on;
    map $request_id $mapped { default "none"; ~^(?<all>client-.*)$ "mapped $all"; }
    log_format o "logged $request_id $mapped";
--- config
    forktail on; forktail_trust all;
    access_log logs/access.log o;
    location / { return 200; }
--- more_headers
X-Request-ID: client-1234
--- access_log
logged client-1234 mapped client-1234



=== TEST 9: after an internal redirect and in a subrequest
--- http_config
    forktail_override_request_id on;
--- config
    forktail on;
    location / { set $before $request_id; try_files /none /b; }
    location /b { ssi on; default_type text/html; return 200 "$before $request_id <!--#include virtual=\"/c\" -->"; }
    location /c { return 200 $request_id; }
--- response_body_like eval
qr/\A($::Hex) \1 \1\z/
