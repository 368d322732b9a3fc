# Other modules that clear, set, redirect, capture, delay and abort in the same request.
use FindBin;
use lib "$FindBin::Bin/lib";
use Neighbours;
use Test::Nginx::Socket;
use Forktail;

no_long_string();
repeat_each(2);
plan tests => repeat_each() * 92;
run_tests();

__DATA__



=== TEST 1: headers are cleared by a pattern and set, when the client sent the id's alone
--- config
    forktail on;
    location / {
        more_clear_input_headers 'X-*';
        more_set_input_headers 'X-One: 1' 'X-Two: 2' 'X-Three: 3';
        proxy_set_header Host "";
        proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock;
    }
--- raw_request eval
"GET / HTTP/1.0\r\nX-Request-ID: client-1234\r\nX-Other: 1\r\n\r\n"
--- upstream
--- response_body
X-One: 1
X-Two: 2
X-Three: 3



=== TEST 2: many headers are set after those of the client have been cleared one by one
--- config
    forktail on;
    location / {
        rewrite_by_lua_block {
            for name in pairs(ngx.req.get_headers()) do ngx.req.clear_header(name) end
            for i = 1, 40 do ngx.req.set_header("X-" .. i, string.rep("v", i)) end
        }
        proxy_set_header Host "";
        proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock;
    }
--- raw_request eval
"GET / HTTP/1.0\r\nX-Request-ID: client-1234\r\nA: 1\r\nX-Request-ID: client-1234\r\nB: 2\r\n\r\n"
--- upstream
--- response_body eval
CORE::join '', map { "X-$_: " . 'v' x $_ . "\n" } 1 .. 40



=== TEST 3: the same with a trace, whose headers go too
--- config
    forktail on;
    forktail_trace_context on;
    location / {
        rewrite_by_lua_block {
            for name in pairs(ngx.req.get_headers()) do ngx.req.clear_header(name) end
            for i = 1, 40 do ngx.req.set_header("X-" .. i, string.rep("v", i)) end
        }
        proxy_set_header Host "";
        proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock;
    }
--- raw_request eval
"GET / HTTP/1.0\r\ntracestate: a=b\r\nX-Request-ID: client-1234\r\ntracestate: b=c\r\n\r\n"
--- upstream
--- response_body eval
CORE::join '', map { "X-$_: " . 'v' x $_ . "\n" } 1 .. 40



=== TEST 4: echo reads the id in its own content phase
--- config
    forktail on;
    location / { echo $forktail_id; }
--- response_body_like eval
qr/\A$::Hex\n\z/



=== TEST 5: an echo subrequest has the id of its parent
--- config
    forktail on;
    location / { echo $forktail_id; echo_location /b; }
    location /b { echo $forktail_id; }
--- response_body_like eval
qr/\A($::Hex)\n\1\n\z/



=== TEST 6: echo_exec to another location
--- config
    forktail on;
    location / { set $before $forktail_id; echo_exec /b; }
    location /b { echo "$before $forktail_id"; }
--- response_body_like eval
qr/\A($::Hex) \1\n\z/



=== TEST 7: a request that sleeps
--- config
    forktail on;
    location / { echo_sleep 0.05; echo $forktail_id; }
--- response_body_like eval
qr/\A$::Hex\n\z/



=== TEST 8: Lua runs a location in the rewrite phase
--- config
    forktail on;
    location / { rewrite_by_lua_block { local r = ngx.location.capture("/b"); ngx.say(r.body == ngx.var.forktail_id) ngx.exit(200) } }
    location /b { return 200 $forktail_id; }
--- response_body
true



=== TEST 9: ngx.exec goes elsewhere in the access phase
--- config
    forktail on;
    location / { access_by_lua_block { ngx.exec("/b") } echo never; }
    location /b { return 200 $forktail_id; }
--- response_body_like eval
qr/\A$::Hex\z/



=== TEST 10: Lua aborts in the access phase: the error page has the id
--- config
    forktail on;
    location / { access_by_lua_block { ngx.exit(403) } echo never; }
--- error_code: 403
--- response_headers_like
X-Request-ID: [0-9a-f]{32}



=== TEST 11: Lua fails in the content phase
--- config
    forktail on;
    location / { content_by_lua_block { error("on purpose") } }
--- error_code: 500
--- response_headers_like
X-Request-ID: [0-9a-f]{32}
--- error_log eval
qr/request_id: "[0-9a-f]{32}"/



=== TEST 12: Lua clears the response header, and it is set all the same
--- config
    forktail on;
    location / { header_filter_by_lua_block { ngx.header["X-Request-ID"] = nil } return 200; }
--- response_headers_like
X-Request-ID: [0-9a-f]{32}



=== TEST 13: headers-more sets the response header: there is one
--- config
    forktail on;
    location / { more_set_headers "X-Request-ID: other-1234"; return 200; }
--- raw_response_headers_unlike: X-Request-ID: .*X-Request-ID: 



=== TEST 14: headers-more clears the inbound header, the variable stays
--- config
    forktail on;
    location / { more_clear_input_headers X-Request-ID; proxy_set_header Host ""; proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock; add_header X-Id $forktail_id; }
--- upstream
--- response_headers_like
X-Id: [0-9a-f]{32}
--- response_body



=== TEST 15: headers-more sets another inbound id: the backend gets that one, once
--- config
    forktail on;
    location / { more_set_input_headers "X-Request-ID: other-1234"; proxy_set_header Host ""; proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock; }
--- upstream
--- response_body
X-Request-ID: other-1234



=== TEST 16: Lua sets the inbound id by a table of two
--- config
    forktail on;
    location / { access_by_lua_block { ngx.req.set_header("X-Request-ID", "other-1234") } proxy_set_header Host ""; proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock; }
--- upstream
--- response_body
X-Request-ID: other-1234



=== TEST 17: a hundred headers are set behind ours
--- config
    forktail on;
    location / { access_by_lua_block { for i = 1, 100 do ngx.req.set_header("X-" .. i, i) end ngx.req.clear_header("X-Request-ID") } proxy_set_header Host ""; proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock; }
--- upstream
--- response_body eval
CORE::join "", map { "X-$_: $_\n" } 1 .. 100



=== TEST 18: headers are cleared one after the other to the last, and set again, twice
--- config
    forktail on;
    location / { access_by_lua_block { for round = 1, 2 do for name in pairs(ngx.req.get_headers()) do ngx.req.clear_header(name) end ngx.req.set_header("A", round) end } proxy_set_header Host ""; proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock; }
--- upstream
--- response_body
A: 2



=== TEST 19: a body that Lua has read reaches forktail_pass
--- config
    forktail on;
    location / { access_by_lua_block { ngx.req.read_body() } forktail_pass 127.0.0.1:1; }
--- request
POST /
hello
--- error_code: 502



=== TEST 20: subs_filter rewrites a response
--- config
    forktail on;
    location / { subs_filter hello bye; default_type text/html; return 200 hello; }
--- response_headers_like
X-Request-ID: [0-9a-f]{32}
--- response_body chomp
bye



=== TEST 21: forktail_queue before a location that Lua leaves by ngx.exec
--- config
    forktail on;
    location / { forktail_queue 1 active=1; forktail_pass 127.0.0.1:1; access_by_lua_block { ngx.exec("/b") } }
    location /b { return 200 gone; }
--- response_body chomp
gone



=== TEST 22: a queue whose server is not there, captured by Lua
--- config
    forktail on;
    location / { content_by_lua_block { local a = ngx.location.capture("/q") local b = ngx.location.capture("/q") ngx.say(a.status, " ", b.status) } }
    location /q { internal; forktail_queue 0 active=1; forktail_pass 127.0.0.1:1; }
--- response_body
502 502



=== TEST 23: two captures at once for one place: one waits for the other
--- config
    forktail on;
    location / { content_by_lua_block { local a, b = ngx.location.capture_multi({{"/q"}, {"/q"}}) ngx.say(a.status, " ", b.status) } }
    location /q { internal; forktail_queue 5 active=1; forktail_pass 127.0.0.1:1; }
--- response_body
502 502



=== TEST 24: auth_request by Lua before a queue
--- config
    forktail on;
    location / { auth_request /auth; forktail_queue 5 active=1; forktail_pass 127.0.0.1:1; }
    location /auth { content_by_lua_block { ngx.sleep(0.02) ngx.exit(ngx.var.forktail_id and 204 or 500) } }
--- error_code: 502



=== TEST 25: Lua delays the log phase of nobody
--- config
    forktail on;
    log_by_lua_block { ngx.log(ngx.WARN, "logged ", ngx.var.forktail_id) }
    location / { return 200 $forktail_id; }
--- response_body_like eval
qr/\A$::Hex\z/
--- error_log eval
qr/logged [0-9a-f]{32}/



=== TEST 26: a trace that headers-more takes the traceparent of
--- config
    forktail on; forktail_trace_context on;
    location / { more_clear_input_headers traceparent tracestate X-Request-ID; more_set_input_headers "A: 1" "B: 2" "C: 3" "D: 4" "E: 5"; proxy_set_header Host ""; proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock; }
--- more_headers
traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
tracestate: a=b
tracestate: b=c
--- upstream
--- response_body
A: 1
B: 2
C: 3
D: 4
E: 5



=== TEST 27: njs reads the id
--- http_config
    js_import main from $TEST_NGINX_HTML_DIR/main.js;
--- config
    forktail on;
    location / { js_content main.go; }
--- response_body_like eval
qr/\A$::Hex\z/
--- user_files
>>> main.js
function go(r) { r.return(200, r.variables.forktail_id); }
export default {go};



=== TEST 28: an njs subrequest has it too
--- http_config
    js_import main from $TEST_NGINX_HTML_DIR/main.js;
--- config
    forktail on;
    location / { js_content main.go; }
    location /b { return 200 $forktail_id; }
--- response_body chomp
true
--- user_files
>>> main.js
async function go(r) { let a = await r.subrequest("/b"); r.return(200, String(a.responseText == r.variables.forktail_id)); }
export default {go};



=== TEST 29: an njs redirect inside
--- http_config
    js_import main from $TEST_NGINX_HTML_DIR/main.js;
--- config
    forktail on;
    location / { js_content main.go; }
    location /b { return 200 $forktail_id; }
--- response_body_like eval
qr/\A$::Hex\z/
--- user_files
>>> main.js
function go(r) { r.internalRedirect("/b"); }
export default {go};



=== TEST 30: njs takes the response header away, and it is set all the same
--- http_config
    js_import main from $TEST_NGINX_HTML_DIR/main.js;
--- config
    forktail on;
    location / { js_header_filter main.go; return 200; }
--- response_headers_like
X-Request-ID: [0-9a-f]{32}
--- user_files
>>> main.js
function go(r) { delete r.headersOut["X-Request-ID"]; r.headersOut["X-Other"] = "1"; }
export default {go};
