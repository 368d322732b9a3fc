# Several servers, retries and targets.
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Nginx::Socket;
use Pass;

no_long_string();
repeat_each(2);
plan tests => repeat_each() * 58;
run_tests();

__DATA__



=== TEST 1: the next server takes over from a dead one
--- http_config
upstream app { server unix:$TEST_NGINX_HTML_DIR/dead.sock max_fails=0; server unix:$TEST_NGINX_HTML_DIR/app.sock backup; }
--- config
location / { forktail_pass app; }
--- app: PATH_INFO
--- response_body
PATH_INFO=/
--- error_log
dead.sock failed
--- no_error_log
[alert]



=== TEST 2: a dead server alone
--- config
location / { forktail_pass unix:$TEST_NGINX_HTML_DIR/dead.sock; }
--- error_code: 502
--- error_log
dead.sock failed
--- no_error_log
[alert]



=== TEST 3: no retry when it is off
--- http_config
upstream app { server unix:$TEST_NGINX_HTML_DIR/dead.sock max_fails=0; server unix:$TEST_NGINX_HTML_DIR/dead2.sock max_fails=0 backup; }
--- config
location / { forktail_pass app; forktail_next_upstream off; }
--- error_code: 502
--- error_log
dead.sock failed
--- no_error_log
dead2.sock



=== TEST 4: as many tries as are allowed
--- http_config
upstream app { server unix:$TEST_NGINX_HTML_DIR/dead.sock max_fails=0; server unix:$TEST_NGINX_HTML_DIR/dead2.sock max_fails=0 backup; }
--- config
location / { forktail_pass app; forktail_next_upstream_tries 1; }
--- error_code: 502
--- error_log
dead.sock failed
--- no_error_log
dead2.sock



=== TEST 5: a 503 is passed on
--- pass
--- app_reply eval
"HTTP/1.1 503 Busy\nContent-Length: 4\n\nbusy"
--- error_code: 503
--- response_body chomp
busy



=== TEST 6: or makes nginx go to the next server
--- http_config
upstream app { server unix:$TEST_NGINX_HTML_DIR/app.sock max_fails=0; server unix:$TEST_NGINX_HTML_DIR/dead.sock max_fails=0 backup; }
--- config
location / { forktail_pass app; forktail_next_upstream http_503; }
--- app_reply eval
"HTTP/1.1 503 Busy\nContent-Length: 4\n\nbusy"
--- error_code: 502
--- error_log
dead.sock failed
--- no_error_log
[alert]



=== TEST 7: a POST that was sent is not sent again
--- http_config
upstream app { server unix:$TEST_NGINX_HTML_DIR/app.sock max_fails=0; server unix:$TEST_NGINX_HTML_DIR/dead.sock max_fails=0 backup; }
--- config
location / { forktail_pass app; }
--- request
POST /
hello
--- app_reply
--- error_code: 502
--- error_log
upstream prematurely closed connection
--- no_error_log
dead.sock



=== TEST 8: unless that is asked for
--- http_config
upstream app { server unix:$TEST_NGINX_HTML_DIR/app.sock max_fails=0; server unix:$TEST_NGINX_HTML_DIR/dead.sock max_fails=0 backup; }
--- config
location / { forktail_pass app; forktail_next_upstream error non_idempotent; }
--- request
POST /
hello
--- app_reply
--- error_code: 502
--- error_log
dead.sock failed
--- no_error_log
[alert]



=== TEST 9: an invalid response makes nginx go to the next server when asked to
--- http_config
upstream app { server unix:$TEST_NGINX_HTML_DIR/app.sock max_fails=0; server unix:$TEST_NGINX_HTML_DIR/dead.sock max_fails=0 backup; }
--- config
location / { forktail_pass app; forktail_next_upstream invalid_header; }
--- app_reply eval
"HTTP/1.1 OK\n\n"
--- error_code: 502
--- error_log
dead.sock failed
--- no_error_log
[alert]



=== TEST 10: least_conn and a zone
--- http_config
upstream app { zone app 64k; least_conn; server unix:$TEST_NGINX_HTML_DIR/app.sock; }
--- config
location / { forktail_pass app; }
--- app: PATH_INFO
--- response_body
PATH_INFO=/



=== TEST 11: hash
--- http_config
upstream app { hash $uri consistent; server unix:$TEST_NGINX_HTML_DIR/app.sock; }
--- config
location / { forktail_pass app; }
--- app: PATH_INFO
--- response_body
PATH_INFO=/



=== TEST 12: a scheme is allowed
--- config
location / { forktail_pass uwsgi://unix:$TEST_NGINX_HTML_DIR/app.sock; }
--- app: PATH_INFO
--- response_body
PATH_INFO=/



=== TEST 13: a target made of variables
--- config
location / { set $name app; forktail_pass unix:$TEST_NGINX_HTML_DIR/$name.sock; }
--- app: PATH_INFO
--- response_body
PATH_INFO=/



=== TEST 14: which may name an upstream
--- http_config
upstream app { server unix:$TEST_NGINX_HTML_DIR/app.sock; }
--- config
location / { set $name app; forktail_pass uwsgi://$name; }
--- app: PATH_INFO
--- response_body
PATH_INFO=/



=== TEST 15: a target made of variables that is none
--- config
location / { set $name ""; forktail_pass unix:$name; }
--- error_code: 500
--- error_log
"forktail_pass" can not pass to "unix:"



=== TEST 16: TCP
--- config
location / { forktail_pass 127.0.0.1:1; }
--- error_code: 502
--- error_log
upstream: "uwsgi://127.0.0.1:1"



=== TEST 17: an if block inherits where to pass to
--- pass
if ($arg_x) { add_header X-If yes; }
--- request
GET /?x=1
--- app: QUERY_STRING
--- response_headers
X-If: yes
--- response_body
QUERY_STRING=x=1



=== TEST 18: limit_except
--- pass
limit_except GET { deny all; }
--- request
DELETE /
--- error_code: 403
--- error_log
access forbidden by rule



=== TEST 19: a location that ends in a slash redirects to it
--- config
location /app/ { forktail_pass unix:$TEST_NGINX_HTML_DIR/app.sock; }
--- request
GET /app
--- error_code: 301
