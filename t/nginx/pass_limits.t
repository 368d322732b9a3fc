# Requests that do not fit into a packet.
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Nginx::Socket;
use Pass;

no_long_string();
repeat_each(2);
plan tests => repeat_each() * 26;
run_tests();

__DATA__



=== TEST 1: too many headers
--- http_config
large_client_header_buffers 8 64k;
--- config
forktail on; forktail_trust all;
--- pass
--- more_headers eval
"X-Request-ID: client-1234\nX-A: " . "a" x 40000 . "\nX-B: " . "b" x 40000
--- error_code: 431
--- response_headers
X-Request-ID: client-1234
--- error_log eval
qr/the request makes a uwsgi packet of 8\d{4} bytes, more than the 65535 that its format allows: .*, request_id: "client-1234"/



=== TEST 2: a long query
--- http_config
large_client_header_buffers 8 64k;
--- config
forktail on; forktail_trust all;
--- pass
--- more_headers
X-Request-ID: client-1234
--- request eval
"GET /?" . "q" x 40000
--- error_code: 414
--- response_headers
X-Request-ID: client-1234
--- error_log
the request makes a uwsgi packet of



=== TEST 3: a long query and long headers, of which the query alone would fit
--- http_config
large_client_header_buffers 8 64k;
--- pass
--- more_headers eval
"X-A: " . "a" x 40000
--- request eval
"GET /?" . "q" x 20000
--- error_code: 431
--- error_log
the request makes a uwsgi packet of



=== TEST 4: an error page of its own
--- http_config
large_client_header_buffers 8 64k;
--- config
error_page 431 /large;
location = /large { return 200 "make it smaller\n"; }
--- pass
--- more_headers eval
"X-A: " . "a" x 40000 . "\nX-B: " . "b" x 40000
--- error_code: 431
--- response_body
make it smaller
--- error_log
the request makes a uwsgi packet of



=== TEST 5: a packet of exactly 65535 bytes
--- http_config
large_client_header_buffers 8 64k;
--- pass
--- more_headers eval
"X-A: " . "a" x (65535 - (length(::packet(headers => [HTTP_X_A => ''])) - 4))
--- packet eval
::packet(headers => [HTTP_X_A => "a" x (65535 - (length(::packet(headers => [HTTP_X_A => ''])) - 4))])



=== TEST 6: and of one more
--- http_config
large_client_header_buffers 8 64k;
--- pass
--- more_headers eval
"X-A: " . "a" x (65536 - (length(::packet(headers => [HTTP_X_A => ''])) - 4))
--- error_code: 431
--- error_log
the request makes a uwsgi packet of 65536 bytes



=== TEST 7: headers that are not passed do not count
--- http_config
large_client_header_buffers 8 64k;
--- pass
forktail_pass_request_headers off;
--- more_headers eval
"X-A: " . "a" x 40000 . "\nX-B: " . "b" x 40000
--- packet eval
::packet(no_headers => 1)
