# Other modules that clear and set what we set, in the same request.
use FindBin;
use lib "$FindBin::Bin/lib";
use Neighbours;
use Test::Nginx::Socket;
use Forktail;

no_long_string();
repeat_each(2);
plan tests => repeat_each() * 9;
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
