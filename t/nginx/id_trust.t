# forktail_trust: whose ids are taken over. The peer of the socket counts, and nothing else.
#
# With --hup the harness asks over plain HTTP whether a block's configuration is there, so what wants the
# PROXY protocol is skipped.
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Nginx::Socket;
use Forktail;

no_long_string();
repeat_each(2);
plan tests => repeat_each() * 79;
run_tests();

__DATA__



=== TEST 1: nobody is trusted by default
--- config
    forktail on;
    location / { return 200 "$forktail_id_source $forktail_client_id"; }
--- more_headers
X-Request-ID: client-1234
--- response_body chomp
replaced client-1234



=== TEST 2: an address
--- config
    forktail on;
    forktail_trust 127.0.0.1;
    location / { return 200 "$forktail_id_source $forktail_id"; }
--- more_headers
X-Request-ID: client-1234
--- response_body chomp
accepted client-1234
--- response_headers
X-Request-ID: client-1234



=== TEST 3: a CIDR
--- config
    forktail on;
    forktail_trust 127.0.0.0/8;
    location / { return 200 $forktail_id; }
--- more_headers
X-Request-ID: client-1234
--- response_body chomp
client-1234



=== TEST 4: a CIDR that does not hold the peer
--- config
    forktail on;
    forktail_trust 10.0.0.0/8 127.0.0.2;
    location / { return 200 $forktail_id_source; }
--- more_headers
X-Request-ID: client-1234
--- response_body chomp
replaced



=== TEST 5: any of several
--- config
    forktail on;
    forktail_trust 10.0.0.0/8 unix: 127.0.0.1;
    location / { return 200 $forktail_id; }
--- more_headers
X-Request-ID: client-1234
--- response_body chomp
client-1234



=== TEST 6: repeated directives add up
--- config
    forktail on;
    forktail_trust 127.0.0.1;
    forktail_trust 10.0.0.0/8;
    location / { return 200 $forktail_id; }
--- more_headers
X-Request-ID: client-1234
--- response_body chomp
client-1234



=== TEST 7: all
--- config
    forktail on;
    forktail_trust all;
    location / { return 200 $forktail_id; }
--- more_headers
X-Request-ID: client-1234
--- response_body chomp
client-1234



=== TEST 8: none
--- config
    forktail on;
    forktail_trust none;
    location / { return 200 $forktail_id_source; }
--- more_headers
X-Request-ID: client-1234
--- response_body chomp
replaced



=== TEST 9: a trusted peer that sends no id
--- config
    forktail on;
    forktail_trust all;
    location / { return 200 "$forktail_id_source $forktail_id"; }
--- response_body_like eval
qr/\Agenerated $::Hex\z/



=== TEST 10: it is inherited from http
--- http_config
    forktail_trust 127.0.0.1;
--- config
    forktail on;
    location / { return 200 $forktail_id; }
--- more_headers
X-Request-ID: client-1234
--- response_body chomp
client-1234



=== TEST 11: none in server overrules http
--- http_config
    forktail_trust 127.0.0.1;
--- config
    forktail on;
    forktail_trust none;
    location / { return 200 $forktail_id_source; }
--- more_headers
X-Request-ID: client-1234
--- response_body chomp
replaced



=== TEST 12: an address in server takes the place of those of http
--- http_config
    forktail_trust 127.0.0.1;
--- config
    forktail on;
    forktail_trust 10.0.0.1;
    location / { return 200 $forktail_id_source; }
--- more_headers
X-Request-ID: client-1234
--- response_body chomp
replaced



=== TEST 13: unix: trusts the peers of unix sockets
--- http_config
    server {
        listen unix:$TEST_NGINX_HTML_DIR/in.sock;
        forktail on;
        forktail_trust unix:;
        location / { return 200 $forktail_id; }
    }
--- config
    location / { proxy_pass http://unix:$TEST_NGINX_HTML_DIR/in.sock; }
--- more_headers
X-Request-ID: client-1234
--- response_body chomp
client-1234



=== TEST 14: addresses do not trust the peers of unix sockets
--- http_config
    server {
        listen unix:$TEST_NGINX_HTML_DIR/in.sock;
        forktail on;
        forktail_trust 0.0.0.0/0 ::/0;
        location / { return 200 $forktail_id_source; }
    }
--- config
    location / { proxy_pass http://unix:$TEST_NGINX_HTML_DIR/in.sock; }
--- more_headers
X-Request-ID: client-1234
--- response_body chomp
replaced



=== TEST 15: unix: does not trust TCP peers
--- config
    forktail on;
    forktail_trust unix:;
    location / { return 200 $forktail_id_source; }
--- more_headers
X-Request-ID: client-1234
--- response_body chomp
replaced



=== TEST 16: all trusts unix sockets as well
--- http_config
    server {
        listen unix:$TEST_NGINX_HTML_DIR/in.sock;
        forktail on;
        forktail_trust all;
        location / { return 200 $forktail_id; }
    }
--- config
    location / { proxy_pass http://unix:$TEST_NGINX_HTML_DIR/in.sock; }
--- more_headers
X-Request-ID: client-1234
--- response_body chomp
client-1234



=== TEST 17: an IPv6 address
--- skip_eval
3: !eval { require IO::Socket::IP; IO::Socket::IP->new(LocalHost => '::1', Listen => 1) }
--- http_config
    server {
        listen [::1]:$TEST_NGINX_SERVER_PORT;
        forktail on;
        forktail_trust ::1;
        location / { return 200 $forktail_id; }
    }
--- config
    location / { proxy_pass http://[::1]:$TEST_NGINX_SERVER_PORT; }
--- more_headers
X-Request-ID: client-1234
--- response_body chomp
client-1234



=== TEST 18: an IPv6 network that does not hold the peer
--- skip_eval
3: !eval { require IO::Socket::IP; IO::Socket::IP->new(LocalHost => '::1', Listen => 1) }
--- http_config
    server {
        listen [::1]:$TEST_NGINX_SERVER_PORT;
        forktail on;
        forktail_trust fd00::/8;
        location / { return 200 $forktail_id_source; }
    }
--- config
    location / { proxy_pass http://[::1]:$TEST_NGINX_SERVER_PORT; }
--- more_headers
X-Request-ID: client-1234
--- response_body chomp
replaced



=== TEST 19: realip does not make a client trusted
--- config
    forktail on;
    forktail_trust 10.1.1.1;
    set_real_ip_from 127.0.0.1;
    real_ip_header X-Forwarded-For;
    location / { return 200 "$remote_addr $forktail_id_source"; }
--- more_headers
X-Forwarded-For: 10.1.1.1
X-Request-ID: client-1234
--- response_body chomp
10.1.1.1 replaced



=== TEST 20: realip does not take trust from a proxy
--- config
    forktail on;
    forktail_trust 127.0.0.1;
    set_real_ip_from 127.0.0.1;
    real_ip_header X-Forwarded-For;
    location / { return 200 "$remote_addr $forktail_id"; }
--- more_headers
X-Forwarded-For: 10.1.1.1
X-Request-ID: client-1234
--- response_body chomp
10.1.1.1 client-1234



=== TEST 21: realip still works on requests without an id
--- config
    forktail on;
    set_real_ip_from 127.0.0.1;
    real_ip_header X-Forwarded-For;
    location / { return 200 "$remote_addr $forktail_id_source"; }
--- more_headers
X-Forwarded-For: 10.1.1.1
--- response_body chomp
10.1.1.1 generated



=== TEST 23: a keepalive connection is judged anew for each request
--- config
    forktail on;
    forktail_trust 127.0.0.1;
    set_real_ip_from 127.0.0.1;
    real_ip_header X-Forwarded-For;
    location / { return 200 $forktail_id_source; }
--- pipelined_requests eval
["GET /a", "GET /b", "GET /c"]
--- more_headers
X-Forwarded-For: 10.1.1.1
X-Request-ID: client-1234
--- response_body eval
["accepted", "accepted", "accepted"]



=== TEST 24: the PROXY protocol does not make a client trusted
--- skip_eval
3: $ENV{TEST_NGINX_USE_HUP}
--- http_config
    server { listen $TEST_NGINX_SERVER_PORT proxy_protocol; server_name other; }
--- config
    forktail on;
    forktail_trust 10.1.1.1;
    set_real_ip_from 127.0.0.1;
    real_ip_header proxy_protocol;
    location / { return 200 "$remote_addr $forktail_id_source"; }
--- raw_request eval
"PROXY TCP4 10.1.1.1 10.1.1.2 1234 80\r\n"
. "GET / HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: client-1234\r\nConnection: close\r\n\r\n"
--- response_body chomp
10.1.1.1 replaced



=== TEST 25: the PROXY protocol does not take trust from a proxy
--- skip_eval
3: $ENV{TEST_NGINX_USE_HUP}
--- http_config
    server { listen $TEST_NGINX_SERVER_PORT proxy_protocol; server_name other; }
--- config
    forktail on;
    forktail_trust 127.0.0.1;
    location / { return 200 "$proxy_protocol_addr $forktail_id"; }
--- raw_request eval
"PROXY TCP4 10.1.1.1 10.1.1.2 1234 80\r\n"
. "GET / HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: client-1234\r\nConnection: close\r\n\r\n"
--- response_body chomp
10.1.1.1 client-1234
