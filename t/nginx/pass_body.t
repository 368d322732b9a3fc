# How the request's body is passed.
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Nginx::Socket;
use Pass;

no_long_string();
repeat_each(2);
plan tests => repeat_each() * 35;
run_tests();

__DATA__



=== TEST 1: a body
--- pass
--- request eval
"POST /\n" . "b" x 3000
--- app_body: 3000
--- response_body eval
"b" x 3000



=== TEST 2: a body in a temporary file
--- pass
client_body_buffer_size 1k;
--- request eval
"POST /\n" . "b" x 30000
--- app_body: 30000
--- response_body eval
"b" x 30000



=== TEST 3: a body as it comes
--- pass
forktail_request_buffering off;
--- request eval
"POST /\n" . "b" x 30000
--- app_body: 30000
--- response_body eval
"b" x 30000



=== TEST 4: a chunked body gets a length
--- pass
--- raw_request eval
"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n" .
"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
--- packet eval
::packet(with => {REQUEST_METHOD => 'POST', CONTENT_LENGTH => 5},
    body => 'abcde')



=== TEST 5: also when buffering is off
--- pass
forktail_request_buffering off;
--- raw_request eval
"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n" .
"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
--- packet eval
::packet(with => {REQUEST_METHOD => 'POST', CONTENT_LENGTH => 5},
    body => 'abcde')



=== TEST 6: no body, and then no length
--- pass
forktail_pass_request_body off;
--- request
POST /
hello
--- packet eval
::packet(with => {REQUEST_METHOD => 'POST'})



=== TEST 7: a body of no bytes
--- pass
--- request
POST /
--- more_headers
Content-Length: 0
--- packet eval
::packet(with => {REQUEST_METHOD => 'POST', CONTENT_LENGTH => 0})



=== TEST 8: an auth_request has no body, and so no length
--- config
location / { auth_request /auth; try_files "" @answer; }
location @answer { return 204; }
location = /auth {
    internal; forktail_pass unix:$TEST_NGINX_HTML_DIR/app.sock;
    forktail_param REMOTE_PORT ""; forktail_param PATH_INFO /;
}
--- request
POST /
hello
--- packet eval
::packet(with => {REQUEST_METHOD => 'POST', CONTENT_LENGTH => 0})



=== TEST 9: an error page gets nothing of a body that was refused
--- config
error_page 413 = /refused;
location / { client_max_body_size 4; return 204; }
location = /refused {
    internal; forktail_pass unix:$TEST_NGINX_HTML_DIR/app.sock;
    forktail_param REMOTE_PORT ""; forktail_param PATH_INFO /;
}
--- request
POST /
hello
--- packet eval
::packet(with => {CONTENT_LENGTH => 0})



=== TEST 10: a body larger than client_max_body_size
--- pass
client_max_body_size 4;
--- request
POST /
hello
--- error_code: 413
