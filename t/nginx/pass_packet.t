# The packet, to the byte.
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Nginx::Socket;
use Pass;

no_long_string();
repeat_each(2);
plan tests => repeat_each() * 100;
run_tests();

__DATA__



=== TEST 1: the CGI variables, without an include
--- pass
--- packet eval
::packet()



=== TEST 2: the query and the path
--- pass
--- request
GET /a%20b/../c?d=e%20f&g
--- packet eval
::packet(with => {
    QUERY_STRING => 'd=e%20f&g', REQUEST_URI => '/a%20b/../c?d=e%20f&g', PATH_INFO => '/c'})



=== TEST 3: a decoded path
--- pass
--- request
GET /a%20b
--- packet eval
::packet(with => {REQUEST_URI => '/a%20b', PATH_INFO => '/a b'})



=== TEST 4: a body follows the packet
--- pass
--- request
POST /
hello
--- more_headers
Content-Type: text/x-test
--- packet eval
::packet(with => {REQUEST_METHOD => 'POST', CONTENT_TYPE => 'text/x-test', CONTENT_LENGTH => 5},
    headers => [HTTP_CONTENT_TYPE => 'text/x-test'], body => 'hello')



=== TEST 5: modifiers
--- pass
forktail_modifier1 5; forktail_modifier2 255;
--- packet eval
::packet(modifiers => [5, 255])



=== TEST 6: modifiers are inherited
--- http_config
forktail_modifier1 9;
--- config
forktail_modifier2 7;
--- pass
--- packet eval
::packet(modifiers => [9, 7])



=== TEST 7: forktail_param adds a variable
--- pass
forktail_param APP_ENV "on $request_method";
--- packet eval
::packet(params => [APP_ENV => 'on GET'])



=== TEST 8: forktail_param replaces a standard variable in its place
--- pass
forktail_param SERVER_NAME me; forktail_param PATH_INFO /x;
--- packet eval
::packet(with => {SERVER_NAME => 'me', PATH_INFO => '/x'})



=== TEST 9: the last of two forktail_param of one name counts
--- pass
forktail_param A 1; forktail_param B 2; forktail_param A 3;
--- packet eval
::packet(params => [A => 3, B => 2])



=== TEST 10: an empty value is sent
--- pass
forktail_param A "";
--- packet eval
::packet(params => [A => ''])



=== TEST 11: unless if_not_empty is said
--- pass
forktail_param A "$arg_a" if_not_empty; forktail_param B "$arg_b" if_not_empty;
--- request
GET /?b=1
--- packet eval
::packet(with => {QUERY_STRING => 'b=1', REQUEST_URI => '/?b=1'}, params => [B => 1])



=== TEST 12: forktail_param of the http level
--- http_config
forktail_param A 1; forktail_param REMOTE_PORT "";
--- config
location / { forktail_pass unix:$TEST_NGINX_HTML_DIR/app.sock; }
--- packet eval
::packet(params => [A => 1])



=== TEST 13: is not inherited by a level that has its own, as with uwsgi_param
--- http_config
forktail_param A 1;
--- pass
forktail_param B 2;
--- packet eval
::packet(params => [B => 2])



=== TEST 14: a name of more than 255 bytes
--- pass eval
"forktail_param " . "N" x 300 . " v;"
--- packet eval
::packet(params => ["N" x 300 => 'v'])



=== TEST 15: the id
--- pass
--- config
forktail on; forktail_trust all;
--- more_headers
X-Request-ID: client-1234
--- packet eval
::packet(headers => [HTTP_X_REQUEST_ID => 'client-1234'], id => 'client-1234')



=== TEST 16: a configured REQUEST_ID replaces it
--- pass
forktail_param REQUEST_ID mine;
--- config
forktail on; forktail_trust all;
--- more_headers
X-Request-ID: client-1234
--- packet eval
::packet(params => [REQUEST_ID => 'mine'], headers => [HTTP_X_REQUEST_ID => 'client-1234'])



=== TEST 17: HTTP/1.0
--- pass
--- raw_request eval
"GET / HTTP/1.0\r\nConnection: close\r\n\r\n"
--- packet eval
::packet(with => {SERVER_PROTOCOL => 'HTTP/1.0'})



=== TEST 18: a server that may keep the connection is told so
--- http_config
upstream app { server unix:$TEST_NGINX_HTML_DIR/app.sock; keepalive 1; }
--- config
location / { forktail_pass app; forktail_param REMOTE_PORT ""; }
--- packet eval
::packet(keep => 1)



=== TEST 19: the client's address and port
--- config
location / { forktail_pass unix:$TEST_NGINX_HTML_DIR/app.sock; }
--- app: REMOTE_ADDR REMOTE_PORT
--- response_body_like
^REMOTE_ADDR=127\.0\.0\.1
REMOTE_PORT=[1-9]\d{3,4}$



=== TEST 20: behind realip the address is the client's
--- config
set_real_ip_from 127.0.0.1; real_ip_header X-Real-IP;
--- pass
--- more_headers
X-Real-IP: 192.0.2.7
--- app: REMOTE_ADDR
--- response_body
REMOTE_ADDR=192.0.2.7



=== TEST 21: FORKTAIL_SENT is now
--- pass
--- app: FORKTAIL_SENT
--- response_body_like eval
my $thousand = int(time / 1000); my $next = $thousand + 1; qr/^FORKTAIL_SENT=($thousand|$next)\d{3}\.\d{3}$/



=== TEST 22: HTTPS is not sent over plain HTTP
--- pass
--- app: HTTPS REQUEST_SCHEME
--- response_body
REQUEST_SCHEME=http



=== TEST 23: the document root with variables
--- pass
root /srv/$arg_site;
--- request
GET /?site=one
--- app: DOCUMENT_ROOT
--- response_body
DOCUMENT_ROOT=/srv/one



=== TEST 24: a subrequest has its own path, and the request's id
--- config
forktail on; forktail_trust all;
location = /main { add_after_body /sub; default_type text/html; return 200 "main\n"; }
--- pass
--- more_headers
X-Request-ID: client-1234
--- request
GET /main
--- app: PATH_INFO REQUEST_METHOD REQUEST_ID
--- response_body
main
REQUEST_METHOD=GET
PATH_INFO=/sub
REQUEST_ID=client-1234



=== TEST 25: an internal redirect
--- config
rewrite ^/old$ /new?x=1;
--- pass
--- request
GET /old
--- app: QUERY_STRING REQUEST_URI PATH_INFO
--- response_body
QUERY_STRING=x=1
REQUEST_URI=/old
PATH_INFO=/new



=== TEST 26: a server whose connections nginx does not keep is told nothing
--- http_config
upstream app { server unix:$TEST_NGINX_HTML_DIR/app.sock; }
--- config
location / { forktail_pass app; forktail_param REMOTE_PORT ""; }
--- packet eval
::packet()
--- skip_nginx: 4: >= 1.29.7



=== TEST 27: a parameter that makes the id, in the error page of a request refused while its headers were read
--- http_config
upstream app { server unix:$TEST_NGINX_HTML_DIR/app.sock; keepalive 1; }
--- config
forktail on; forktail_trace_context on;
error_page 400 @app;
location @app { forktail_pass app; forktail_param A $forktail_id; forktail_param HTTPS $https; }
--- raw_request eval
"GET / HTTP/1.1\r\n" . CORE::join('', map { "A$_: $_\r\n" } 1 .. 60) . "\r\n"
--- app: A HTTP_X_REQUEST_ID REQUEST_ID UWSGI_KEEP_CONN
--- error_code: 400
--- response_body_like eval
qr/\AA=([0-9a-f]{32})\nHTTP_X_REQUEST_ID=\1\nREQUEST_ID=\1\nUWSGI_KEEP_CONN=1\n\z/
