# forktail_queue as one request sees it; test_pass_queue.py has the crowds.
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Nginx::Socket;
use Pass;

no_long_string();
repeat_each(2);
plan tests => repeat_each() * 48;
run_tests();

__DATA__



=== TEST 1: a request that need not wait
--- pass
forktail_queue 10 active=2; add_header X-Time $forktail_queue_time;
--- app: PATH_INFO
--- response_headers
X-Time: 0.000
--- response_body
PATH_INFO=/



=== TEST 2: without a queue there is no time
--- pass
add_header X-Time "[$forktail_queue_time]";
--- app: PATH_INFO
--- response_headers
X-Time: []



=== TEST 3: the queue is inherited, and can be switched off
--- config
forktail_queue 10 active=2;
--- pass
forktail_queue off; add_header X-Time "[$forktail_queue_time]";
--- app: PATH_INFO
--- response_headers
X-Time: []



=== TEST 4: a queue of the http level
--- http_config
forktail_queue 10 active=2;
--- pass
add_header X-Time $forktail_queue_time;
--- app: PATH_INFO
--- response_headers
X-Time: 0.000



=== TEST 5: the state of a queue nobody has used
--- config
location /a { forktail_pass 127.0.0.1:1; forktail_queue 10 active=2 zone=app:64k; }
location /b { forktail_pass 127.0.0.1:2; forktail_queue 10 active=2 zone=app:64k; }
location / { forktail_queue_report; }
--- response_headers
Content-Type: application/json
--- response_body
{"app":{"size":10,"limit":2,"active":0,"waiting":0,"admitted":0,"waited":0,"full":0,"timed_out":0,"left":0}}
--- no_error_log
[crit]



=== TEST 6: the state without queues
--- config
location / { forktail_queue_report; }
--- response_body
{}



=== TEST 7: the state after a request, which failed
--- config
location /x { forktail_pass 127.0.0.1:1; forktail_queue 10 active=2; }
location / { forktail_queue_report; }
--- request eval
["GET /x", "GET /"]
--- error_code eval
[502, 200]
--- response_body_like eval
[qr/502/, qr/^\{"forktail_queue:127\.0\.0\.1:1":\{"size":10,"limit":2,"active":0,"waiting":0,"admitted":[12],"waited":0,"full":0,/]



=== TEST 8: the state for HEAD
--- config
location / { forktail_queue_report; }
--- request
HEAD /
--- response_headers
Content-Length: 3
--- response_body



=== TEST 9: the state is not for POST
--- config
location / { forktail_queue_report; }
--- request
POST /
--- error_code: 405



=== TEST 10: an oversized request does not wait
--- http_config
large_client_header_buffers 8 64k;
--- pass
forktail_queue 0 active=1; add_header X-Time "[$forktail_queue_time]" always;
--- more_headers eval
"X-A: " . "a" x 40000 . "\nX-B: " . "b" x 40000
--- error_code: 431
--- response_headers
X-Time: [0.000]
--- error_log
the request makes a uwsgi packet of



=== TEST 11: the packet can say how long the request waited
--- pass
forktail_queue 10 active=2; forktail_param X_WAITED $forktail_queue_time;
--- app: X_WAITED
--- response_body
X_WAITED=0.000



=== TEST 12: a queue of an upstream block
--- http_config
upstream app { server unix:$TEST_NGINX_HTML_DIR/app.sock; forktail_queue 10 active=2; }
--- config
location / { forktail_pass app; add_header X-Time $forktail_queue_time; }
--- tcp_listen: $TEST_NGINX_HTML_DIR/app.sock
--- tcp_reply eval
"HTTP/1.1 204 No Content\r\n\r\n"
--- error_code: 204
--- response_headers
X-Time: 0.000



=== TEST 13: it is found by a name of variables, too
--- http_config
upstream app { server unix:$TEST_NGINX_HTML_DIR/app.sock; forktail_queue 10 active=2; }
--- config
set $name app;
location / { forktail_pass $name; add_header X-Time $forktail_queue_time; }
--- tcp_listen: $TEST_NGINX_HTML_DIR/app.sock
--- tcp_reply eval
"HTTP/1.1 204 No Content\r\n\r\n"
--- error_code: 204
--- response_headers
X-Time: 0.000



=== TEST 14: a location says that it has none
--- http_config
upstream app { server unix:$TEST_NGINX_HTML_DIR/app.sock; forktail_queue 10 active=2; }
--- config
location / { forktail_pass app; forktail_queue off; add_header X-Time "[$forktail_queue_time]"; }
--- tcp_listen: $TEST_NGINX_HTML_DIR/app.sock
--- tcp_reply eval
"HTTP/1.1 204 No Content\r\n\r\n"
--- error_code: 204
--- response_headers
X-Time: []
