# What a configuration that was written for another *_pass brings along.
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Nginx::Socket;
use Pass;

no_long_string();
repeat_each(2);
plan tests => repeat_each() * 49;
run_tests();

__DATA__



=== TEST 1: a CONTENT_LENGTH as of uwsgi_params is that of the body that is sent
--- pass
forktail_param CONTENT_LENGTH $content_length;
forktail_pass_request_body off;
--- request
POST /
hello
--- app: REQUEST_METHOD CONTENT_LENGTH
--- response_body
REQUEST_METHOD=POST
CONTENT_LENGTH=



=== TEST 2: with a body it is the body's
--- pass
forktail_param CONTENT_LENGTH 7;
--- request
POST /
hello
--- app: CONTENT_LENGTH
--- response_body
CONTENT_LENGTH=5



=== TEST 3: no header says a length beside it, and none makes HTTP_PROXY
--- pass
--- request
POST /
hello
--- more_headers
Proxy: http://example.com
X-Other: 1
--- app: CONTENT_LENGTH HTTP_CONTENT_LENGTH HTTP_TRANSFER_ENCODING HTTP_PROXY HTTP_X_OTHER
--- response_body
CONTENT_LENGTH=5
HTTP_X_OTHER=1



=== TEST 4: nor the encoding of a body that nginx has decoded
--- pass
--- raw_request eval
"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
--- app: CONTENT_LENGTH HTTP_TRANSFER_ENCODING
--- response_body
CONTENT_LENGTH=5



=== TEST 5: a parameter can say it all the same
--- pass
forktail_param HTTP_PROXY mine;
--- more_headers
Proxy: http://example.com
--- app: HTTP_PROXY
--- response_body
HTTP_PROXY=mine



=== TEST 6: ranges of a response that does not offer them
--- pass
forktail_force_ranges on;
--- more_headers
Range: bytes=1-3
--- app_reply eval
"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello"
--- error_code: 206
--- response_body chomp
ell



=== TEST 7: which are not made otherwise
--- pass
--- more_headers
Range: bytes=1-3
--- app_reply eval
"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello"
--- response_body chomp
hello



=== TEST 8: the server's own id header gives way to one of another name
--- config
forktail on; forktail_header X-Trace;
--- pass
--- app_reply eval
"HTTP/1.1 200 OK\nX-Request-ID: server-1234\nContent-Length: 5\n\nhello"
--- response_headers_like
X-Trace: [0-9a-f]{32}
--- response_headers
! X-Request-ID



=== TEST 9: no header is to be sent, so the server's is not either
--- config
forktail on; forktail_response_header off;
--- pass
--- app_reply eval
"HTTP/1.1 200 OK\nX-Request-ID: server-1234\nContent-Length: 5\n\nhello"
--- response_headers
! X-Request-ID



=== TEST 10: unless it is asked for
--- config
forktail on; forktail_response_header off;
--- pass
forktail_pass_header X-Request-ID;
--- app_reply eval
"HTTP/1.1 200 OK\nX-Request-ID: server-1234\nContent-Length: 5\n\nhello"
--- response_headers
X-Request-ID: server-1234



=== TEST 11: where forktail is off it is the only one there is
--- pass
--- app_reply eval
"HTTP/1.1 200 OK\nX-Request-ID: server-1234\nContent-Length: 5\n\nhello"
--- response_headers
X-Request-ID: server-1234



=== TEST 12: also beside a server where it is on
--- http_config
server { listen unix:$TEST_NGINX_HTML_DIR/other.sock; forktail on; location / { forktail_pass 127.0.0.1:1; } }
--- pass
--- app_reply eval
"HTTP/1.1 200 OK\nX-Request-ID: server-1234\nContent-Length: 5\n\nhello"
--- response_headers
X-Request-ID: server-1234



=== TEST 13: stock uwsgi_pass with the parameters that come with forktail
--- config eval
"forktail on;
location / { include $FindBin::Bin/../../conf/nginx/forktail_uwsgi_params; uwsgi_pass unix:$ENV{TEST_NGINX_HTML_DIR}/app.sock; }"
--- app: REQUEST_METHOD REQUEST_ID
--- response_body_like eval
qr/\AREQUEST_METHOD=GET\nREQUEST_ID=[0-9a-f]{32}\n\z/



=== TEST 14: timeouts and parameters that only uwsgi_pass knows are named
--- http_config
uwsgi_read_timeout 5m;
--- pass
uwsgi_param APP_ENV staging;
uwsgi_param UWSGI_SCRIPT app;
uwsgi_buffering off;
uwsgi_send_timeout 60s;
forktail_param UWSGI_SCRIPT app;
--- app: UWSGI_SCRIPT APP_ENV
--- response_body
UWSGI_SCRIPT=app
--- grep_error_log eval
qr/"[^"]*" does nothing .*? write "[^"]*"/
--- suppress_stderr
--- grep_error_log_out eval
[<<'_EOC_', '']
"uwsgi_read_timeout" does nothing in location "/", whose requests go by "forktail_pass": write "forktail_read_timeout"
"uwsgi_buffering" does nothing in location "/", whose requests go by "forktail_pass": write "forktail_buffering"
"uwsgi_param APP_ENV" does nothing in location "/", whose requests go by "forktail_pass": write "forktail_param APP_ENV"
_EOC_



=== TEST 15: what is sent anyway, or said by forktail's directive, is not
--- http_config
include /etc/nginx/uwsgi_params;
uwsgi_read_timeout 5m;
--- pass
forktail_read_timeout 4m;
if ($arg_a) { set $b 1; }
--- app: QUERY_STRING
--- response_body
QUERY_STRING=
--- no_error_log eval
qr/does nothing/



=== TEST 16: nor is a location that goes by uwsgi_pass
--- config
uwsgi_read_timeout 5m;
location / { uwsgi_pass unix:$TEST_NGINX_HTML_DIR/app.sock; uwsgi_param APP_ENV staging; }
--- app: APP_ENV
--- response_body
APP_ENV=staging
--- no_error_log eval
qr/does nothing/
