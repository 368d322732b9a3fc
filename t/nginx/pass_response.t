# How a response is read, and what of it reaches the client.
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Nginx::Socket;
use Pass;

no_long_string();
repeat_each(2);
plan tests => repeat_each() * 119;
run_tests();

__DATA__



=== TEST 1: a status line
--- pass
--- app_reply eval
"HTTP/1.1 201 Made\nContent-Length: 3\nX-A: b\n\nabc"
--- error_code: 201
--- response_headers
X-A: b
Content-Length: 3
--- response_body chomp
abc



=== TEST 2: its reason is passed on
--- pass
--- app_reply eval
"HTTP/1.1 200 Fine, thanks\n\n"
--- raw_response_headers_like eval
qr/^HTTP\/1\.1 200 Fine, thanks\r\n/



=== TEST 3: without a reason nginx's own is sent
--- pass
--- app_reply eval
"HTTP/1.1 404\nContent-Length: 1\n\nx"
--- error_code: 404
--- raw_response_headers_like eval
qr/^HTTP\/1\.1 404 Not Found\r\n/



=== TEST 4: a CGI status
--- pass
--- app_reply eval
"Status: 403 No\nContent-Type: text/x\n\nno"
--- error_code: 403
--- response_headers
Content-Type: text/x
Status: 403 No
--- response_body chomp
no



=== TEST 5: a CGI response without a status
--- pass
--- app_reply eval
"Content-Type: text/x\n\nyes"
--- response_body chomp
yes



=== TEST 6: a CGI redirect
--- pass
--- app_reply eval
"Location: http://elsewhere/\n\n"
--- error_code: 302
--- response_headers
Location: http://elsewhere/



=== TEST 7: chunks are decoded
--- pass
--- app_reply eval
"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n3\nabc\n5;x=y\ndefgh\n0\nX-Trailer: t\n\n"
--- response_headers
! X-Trailer
--- response_body chomp
abcdefgh



=== TEST 8: chunks are decoded without buffering
--- pass
forktail_buffering off;
--- app_reply eval
"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n3\nabc\n5;x=y\ndefgh\n0\nX-Trailer: t\n\n"
--- response_body chomp
abcdefgh



=== TEST 9: for an HTTP/1.0 client, too
--- pass
--- raw_request eval
"GET / HTTP/1.0\r\n\r\n"
--- app_reply eval
"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n3\nabc\n0\n\n"
--- response_headers
! Transfer-Encoding
--- response_body chomp
abc



=== TEST 10: a line end before the status line
--- pass
--- app_reply eval
"\nHTTP/1.1 201 OK\nContent-Length: 3\n\nabc"
--- error_code: 201
--- response_body chomp
abc



=== TEST 11: interim responses are dropped
--- pass
--- app_reply eval
"HTTP/1.1 103 Early Hints\nLink: </x>\n\nHTTP/1.1 102 Processing\n\nHTTP/1.1 201 OK\nContent-Length: 3\n\nabc"
--- error_code: 201
--- response_headers
! Link
--- response_body chomp
abc



=== TEST 12: X-Accel-Redirect
--- pass
--- config
location /internal { internal; return 200 "from $uri\n"; }
--- app_reply eval
"HTTP/1.1 200 OK\nX-Accel-Redirect: /internal/x\nContent-Length: 3\n\nabc"
--- response_headers
! X-Accel-Redirect
--- response_body
from /internal/x



=== TEST 13: X-Accel-Redirect can be ignored
--- pass
forktail_ignore_headers X-Accel-Redirect;
--- app_reply eval
"HTTP/1.1 200 OK\nX-Accel-Redirect: /internal/x\nContent-Length: 3\n\nabc"
--- response_body chomp
abc



=== TEST 14: X-Accel-Charset
--- pass
charset off;
--- app_reply eval
"HTTP/1.1 200 OK\nContent-Type: text/plain\nX-Accel-Charset: koi8-r\nContent-Length: 3\n\nabc"
--- response_headers
! X-Accel-Charset



=== TEST 15: X-Accel-Buffering
--- pass
--- log_level: debug
--- app_reply eval
"HTTP/1.1 200 OK\nX-Accel-Buffering: no\nContent-Length: 3\n\nabc"
--- response_headers
! X-Accel-Buffering
--- response_body chomp
abc
--- error_log
http upstream process non buffered



=== TEST 16: a header is hidden
--- pass
forktail_hide_header X-Secret;
--- app_reply eval
"HTTP/1.1 200 OK\nX-Secret: s\nX-Open: o\nContent-Length: 0\n\n"
--- response_headers
! X-Secret
X-Open: o



=== TEST 17: a header that is hidden otherwise is passed
--- pass
forktail_pass_header X-Accel-Expires;
--- app_reply eval
"HTTP/1.1 200 OK\nX-Accel-Expires: 10\nContent-Length: 0\n\n"
--- response_headers
X-Accel-Expires: 10



=== TEST 18: error pages of nginx instead of the server's
--- pass
forktail_intercept_errors on; error_page 500 /own;
--- config
location = /own { return 200 "own\n"; }
--- app_reply eval
"HTTP/1.1 500 Oops\nContent-Length: 3\n\nabc"
--- error_code: 500
--- response_body
own



=== TEST 19: which are the server's otherwise
--- pass
error_page 500 /own;
--- config
location = /own { return 200 "own\n"; }
--- app_reply eval
"HTTP/1.1 500 Oops\nContent-Length: 3\n\nabc"
--- error_code: 500
--- response_body chomp
abc



=== TEST 20: HEAD
--- pass
--- request
HEAD /
--- app_reply eval
"HTTP/1.1 200 OK\nContent-Length: 3\n\n"
--- response_headers
Content-Length: 3
--- response_body



=== TEST 21: 304
--- pass
--- app_reply eval
"HTTP/1.1 304 Not Modified\nETag: \"x\"\n\n"
--- error_code: 304
--- response_headers
ETag: "x"
--- response_body



=== TEST 22: more than the length says is cut
--- pass
--- app_reply eval
"HTTP/1.1 200 OK\nContent-Length: 3\n\nabcdef"
--- response_body chomp
abc
--- error_log
upstream sent more data than specified in "Content-Length" header



=== TEST 23: data after the final chunk is cut
--- pass
--- app_reply eval
"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n3\nabc\n0\n\nmore"
--- response_body chomp
abc
--- error_log
upstream sent data after final chunk



=== TEST 24: a length and chunks
--- pass
--- app_reply eval
"HTTP/1.1 200 OK\nContent-Length: 3\nTransfer-Encoding: chunked\n\n3\nabc\n0\n\n"
--- error_code: 502
--- error_log
upstream sent a second header that says how long the response is: "Transfer-Encoding: chunked"



=== TEST 25: two lengths
--- pass
--- app_reply eval
"HTTP/1.1 200 OK\nContent-Length: 3\nContent-Length: 3\n\nabc"
--- error_code: 502
--- error_log
upstream sent a second header that says how long the response is: "Content-Length: 3"



=== TEST 26: a length that is none
--- pass
--- app_reply eval
"HTTP/1.1 200 OK\nContent-Length: 3x\n\nabc"
--- error_code: 502
--- error_log
upstream sent a length that is no number: "Content-Length: 3x"



=== TEST 27: an unknown encoding
--- pass
--- app_reply eval
"HTTP/1.1 200 OK\nTransfer-Encoding: gzip\n\nabc"
--- error_code: 502
--- error_log
upstream sent an encoding that nobody asked for: "Transfer-Encoding: gzip"



=== TEST 28: a bad chunk
--- pass
--- app_reply eval
"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n3\nabc\nzz\n"
--- ignore_response
--- error_log
upstream sent invalid chunked response



=== TEST 29: a status line that is none
--- pass
--- app_reply eval
"HTTP/1.1 OK\n\n"
--- error_code: 502
--- error_log
upstream sent an invalid status line



=== TEST 30: a status that answers nothing
--- pass
--- app_reply eval
"HTTP/1.1 101 Switching Protocols\n\n"
--- error_code: 502
--- error_log
upstream sent status 101, which answers no request that was made



=== TEST 31: a CGI status that is none
--- pass
--- app_reply eval
"Status: ok\n\n"
--- error_code: 502
--- error_log
upstream sent an invalid status: "Status: ok"



=== TEST 32: a stray word
--- pass
--- app_reply eval
"Traceback\n\n"
--- error_code: 502
--- error_log
upstream sent invalid header: "Traceback\x0d..."



=== TEST 33: a head larger than forktail_buffer_size
--- pass
forktail_buffer_size 1k;
--- app_reply eval
"HTTP/1.1 200 OK\nX-A: " . "a" x 2000 . "\n\n"
--- error_code: 502
--- error_log
upstream sent too big header



=== TEST 34: or as large as that allows
--- pass
forktail_buffer_size 8k; forktail_busy_buffers_size 8k;
--- app_reply eval
"HTTP/1.1 200 OK\nX-A: " . "a" x 7000 . "\nContent-Length: 0\n\n"
--- response_headers eval
"X-A: " . "a" x 7000



=== TEST 35: a response larger than the buffers, in a temporary file
--- pass
forktail_buffers 2 4k; forktail_busy_buffers_size 4k; forktail_max_temp_file_size 1m;
--- app_reply eval
"HTTP/1.1 200 OK\nContent-Length: 100000\n\n" . "a" x 100000
--- response_body eval
"a" x 100000
