# How the client's headers become variables.
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Nginx::Socket;
use Pass;

no_long_string();
repeat_each(2);
plan tests => repeat_each() * 88;
run_tests();

__DATA__



=== TEST 1: dashes become underscores, letters capitals
--- pass
--- more_headers
X-Some-Header1: Value-x
--- packet eval
::packet(headers => [HTTP_X_SOME_HEADER1 => 'Value-x'])



=== TEST 2: repeated headers are joined by a comma
--- pass
--- more_headers
X-A: 1
X-B: 2
x-a: 3
X-A: 4
--- packet eval
::packet(headers => [HTTP_X_A => '1, 3, 4', HTTP_X_B => 2])



=== TEST 3: cookies are joined by a semicolon
--- pass
--- more_headers
Cookie: a=1
cookie: b=2
--- packet eval
::packet(headers => [HTTP_COOKIE => 'a=1; b=2'])



=== TEST 4: a header without a value
--- pass
--- more_headers
X-A: 
--- packet eval
::packet(headers => [HTTP_X_A => ''])



=== TEST 5: a name of more than 255 bytes
--- pass
--- more_headers eval
"X-" . "n" x 300 . ": v"
--- packet eval
::packet(headers => ["HTTP_X_" . "N" x 300 => 'v'])



=== TEST 6: two headers that become one variable are joined, too
--- config
underscores_in_headers on;
--- pass
--- more_headers
X-A: 1
X_A: 2
--- packet eval
::packet(headers => [HTTP_X_A => '1, 2'])



=== TEST 7: a name with an underscore does not arrive otherwise
--- pass
--- more_headers
X_A: 2
--- packet eval
::packet()



=== TEST 8: a configured HTTP_ variable hides the client's header
--- pass
forktail_param HTTP_X_A mine;
--- more_headers
X-A: 1
x-a: 2
--- packet eval
::packet(params => [HTTP_X_A => 'mine'])



=== TEST 9: set to nothing it only hides it
--- pass
forktail_param HTTP_PROXY "";
--- more_headers
Proxy: http://evil/
--- packet eval
::packet()



=== TEST 10: without the client's headers
--- pass
forktail_pass_request_headers off;
--- more_headers
X-A: 1
--- packet eval
::packet(no_headers => 1)



=== TEST 11: no header makes REQUEST_ID
--- pass
--- more_headers
Request-Id: spoofed
--- packet eval
::packet(headers => [HTTP_REQUEST_ID => 'spoofed'])



=== TEST 12: nor what the module alone says
--- config
underscores_in_headers on;
--- pass
--- more_headers
FORKTAIL_SENT: 1
UWSGI_KEEP_CONN: 1
REQUEST_ID: x
--- packet eval
::packet(headers => [HTTP_FORKTAIL_SENT => 1, HTTP_UWSGI_KEEP_CONN => 1, HTTP_REQUEST_ID => 'x'])



=== TEST 13: the host with its port
--- pass
--- raw_request eval
"GET / HTTP/1.1\r\nHost: Some.Example:8080\r\nConnection: close\r\n\r\n"
--- packet eval
::packet(with => {HTTP_HOST => 'some.example:8080'})



=== TEST 14: the host of an absolute request line, whatever the header says
--- pass
--- raw_request eval
"GET http://one.example/p HTTP/1.1\r\nHost: two.example:99\r\nConnection: close\r\n\r\n"
--- packet eval
::packet(with => {HTTP_HOST => 'one.example', REQUEST_URI => '/p', PATH_INFO => '/p'})
--- curl_error_expected



=== TEST 15: and its port
--- pass
--- raw_request eval
"GET http://one.example:81/ HTTP/1.1\r\nHost: two.example\r\nConnection: close\r\n\r\n"
--- packet eval
::packet(with => {HTTP_HOST => 'one.example:81', REQUEST_URI => '/'})



=== TEST 16: an address of IPv6 as the host
--- pass
--- raw_request eval
"GET / HTTP/1.1\r\nHost: [::1]\r\nConnection: close\r\n\r\n"
--- packet eval
::packet(with => {HTTP_HOST => '[::1]'})



=== TEST 17: and with a port
--- pass
--- raw_request eval
"GET / HTTP/1.1\r\nHost: [::1]:81\r\nConnection: close\r\n\r\n"
--- packet eval
::packet(with => {HTTP_HOST => '[::1]:81'})



=== TEST 18: five hundred headers
--- pass
--- more_headers eval
CORE::join "\n", map { "X-$_: $_" } 1 .. 500
--- packet eval
::packet(headers => [map { ("HTTP_X_$_" => $_) } 1 .. 500])



=== TEST 19: five hundred copies of one
--- pass
--- more_headers eval
CORE::join "\n", map { "X-A: $_" } 1 .. 500
--- packet eval
::packet(headers => [HTTP_X_A => CORE::join(", ", 1 .. 500)])



=== TEST 20: a port that a query follows
--- pass
--- raw_request eval
"GET http://one.example:8080?a=:1 HTTP/1.1\r\nHost: two.example\r\nConnection: close\r\n\r\n"
--- packet eval
::packet(with => {HTTP_HOST => 'one.example:8080', REQUEST_URI => '?a=:1', QUERY_STRING => 'a=:1'})



=== TEST 21: a colon without a port
--- pass
--- raw_request eval
"GET http://one.example: HTTP/1.1\r\nHost: two.example:99\r\nConnection: close\r\n\r\n"
--- packet eval
::packet(with => {HTTP_HOST => 'one.example', REQUEST_URI => '/'})



=== TEST 22: an address of IPv6 and a port in an absolute request line
--- pass
--- raw_request eval
"GET http://[::1]:81/p HTTP/1.1\r\nHost: two.example\r\nConnection: close\r\n\r\n"
--- packet eval
::packet(with => {HTTP_HOST => '[::1]:81', REQUEST_URI => '/p', PATH_INFO => '/p'})
