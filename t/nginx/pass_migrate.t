# What a configuration that was written for another *_pass brings along.
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Nginx::Socket;
use Pass;

no_long_string();
repeat_each(2);
plan tests => repeat_each() * 60;
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



=== TEST 17: each directive of uwsgi_pass that is lost is named
--- http_config
uwsgi_cache_path $TEST_NGINX_HTML_DIR/cache keys_zone=kept:64k;
--- pass
uwsgi_modifier1 5; uwsgi_modifier2 6;
uwsgi_connect_timeout 1s; uwsgi_send_timeout 2s; uwsgi_read_timeout 3s;
uwsgi_buffering off; uwsgi_buffer_size 8k; uwsgi_buffers 16 16k; uwsgi_busy_buffers_size 32k;
uwsgi_max_temp_file_size 0; uwsgi_temp_file_write_size 64k;
uwsgi_limit_rate 1m; uwsgi_force_ranges on;
uwsgi_request_buffering off; uwsgi_pass_request_headers off; uwsgi_pass_request_body off;
uwsgi_ignore_client_abort on;
uwsgi_next_upstream off; uwsgi_next_upstream_tries 2; uwsgi_next_upstream_timeout 5s;
uwsgi_intercept_errors on; uwsgi_ignore_headers Expires; uwsgi_hide_header X-A; uwsgi_pass_header X-B;
uwsgi_bind 127.0.0.1; uwsgi_socket_keepalive on;
uwsgi_cache kept;
uwsgi_ssl_session_reuse off; uwsgi_ssl_protocols TLSv1.3; uwsgi_ssl_ciphers HIGH; uwsgi_ssl_name a;
uwsgi_ssl_server_name on; uwsgi_ssl_verify on; uwsgi_ssl_verify_depth 2;
uwsgi_ssl_trusted_certificate ca.pem; uwsgi_ssl_crl crl.pem;
uwsgi_ssl_certificate a.pem; uwsgi_ssl_certificate_key a.key; uwsgi_ssl_password_file /dev/null;
uwsgi_ssl_conf_command Options ServerPreference;
--- app: REQUEST_METHOD
--- response_body
REQUEST_METHOD=GET
--- grep_error_log eval
qr/"uwsgi_\w+" does nothing .*? (?:write|location to) "\w+"/
--- suppress_stderr
--- grep_error_log_out eval
my $where = 'does nothing in location "/", whose requests go by "forktail_pass"';
my $lost = CORE::join '', map { qq{"uwsgi_$_" $where: write "forktail_$_"\n} } qw(
    modifier1 modifier2 connect_timeout send_timeout read_timeout buffering buffer_size buffers
    busy_buffers_size max_temp_file_size temp_file_write_size limit_rate force_ranges request_buffering
    pass_request_headers pass_request_body ignore_client_abort next_upstream next_upstream_tries
    next_upstream_timeout intercept_errors ignore_headers hide_header pass_header bind socket_keepalive
    ssl_session_reuse ssl_protocols ssl_ciphers ssl_name ssl_server_name ssl_verify ssl_verify_depth
    ssl_trusted_certificate ssl_crl ssl_certificate ssl_certificate_key ssl_conf_command
);
$lost .= qq{"uwsgi_cache" $where: leave this location to "uwsgi_pass"\n};
$lost .= qq{"uwsgi_ssl_password_file" $where: write "forktail_ssl_password_file"\n};
[$lost, '']



=== TEST 18: what is stored, too
--- pass
uwsgi_store on;
--- app: REQUEST_METHOD
--- response_body
REQUEST_METHOD=GET
--- suppress_stderr
--- grep_error_log eval
qr/"uwsgi_store" does nothing .*? leave this location to "uwsgi_pass"/
--- grep_error_log_out eval
[<<'_EOC_', '']
"uwsgi_store" does nothing in location "/", whose requests go by "forktail_pass": leave this location to "uwsgi_pass"
_EOC_



=== TEST 19: what says forktail's own value, or the same in forktail's words, is not
--- pass
uwsgi_buffer_size 4k; uwsgi_buffers 8 4k; uwsgi_next_upstream error timeout; uwsgi_ssl_protocols TLSv1.2 TLSv1.3;
uwsgi_hide_header X-A; forktail_hide_header X-A; uwsgi_max_temp_file_size 0; forktail_max_temp_file_size 0;
uwsgi_ssl_ciphers HIGH; forktail_ssl_ciphers HIGH; uwsgi_ssl_password_file /dev/null; forktail_ssl_password_file /dev/null;
--- app: REQUEST_METHOD
--- response_body
REQUEST_METHOD=GET
--- no_error_log eval
qr/does nothing/
