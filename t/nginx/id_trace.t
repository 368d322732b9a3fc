# forktail_trace_context: W3C Trace Context. The upstream shows what it got.
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Nginx::Socket;
use Forktail;

no_long_string();
repeat_each(2);
plan tests => repeat_each() * 176;
run_tests();

__DATA__



=== TEST 1: off: the client's headers pass untouched
--- config
    forktail on; forktail_trust all; forktail_header X-Id;
    location / { proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock; }
--- more_headers
traceparent: nonsense
tracestate: a=1
X-Id: client-1234
--- upstream
--- response_body
traceparent: nonsense
tracestate: a=1
X-Id: client-1234



=== TEST 2: a valid traceparent of a trusted peer is continued with a new span
--- config
    forktail on; forktail_trust all; forktail_trace_context on;
    location / { proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock; }
--- more_headers
traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
--- upstream
--- response_body_like eval
qr/\Atraceparent: 00-0af7651916cd43dd8448eb211c80319c-(?!b7ad6b7169203331|0{16})[0-9a-f]{16}-01\nX-Request-ID: 0af7651916cd43dd8448eb211c80319c\n\z/



=== TEST 3: its trace-id is the id everywhere
--- config
    forktail on; forktail_trust all; forktail_trace_context on;
    location / { return 200 "$forktail_id $forktail_trace_id $forktail_id_source"; }
--- more_headers
traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
--- response_body chomp
0af7651916cd43dd8448eb211c80319c 0af7651916cd43dd8448eb211c80319c traceparent
--- response_headers
X-Request-ID: 0af7651916cd43dd8448eb211c80319c



=== TEST 4: the variables agree with what the upstream gets
--- http_config
    server { listen unix:$TEST_NGINX_HTML_DIR/in.sock; location / { return 200 $http_traceparent; } }
--- config
    forktail on; forktail_trust all; forktail_trace_context on;
    location / {
        add_header X-Trace "$forktail_traceparent $forktail_trace_id $forktail_span_id";
        proxy_pass http://unix:$TEST_NGINX_HTML_DIR/in.sock;
    }
--- more_headers
traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
--- response_headers_like
X-Trace: 00-(\w{32})-(\w{16})-01 \1 \2
--- response_body_like: ^00-0af7651916cd43dd8448eb211c80319c-\w{16}-01$



=== TEST 5: an untrusted peer's trace is not continued, and its tracestate goes with it
--- config
    forktail on; forktail_trace_context on;
    location / { proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock; }
--- more_headers
traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
tracestate: a=1
--- upstream
--- response_body_like eval
qr/\Atraceparent: 00-($::Hex)-[0-9a-f]{16}-02\nX-Request-ID: \1\n\z/



=== TEST 6: without a traceparent a trace starts with the id
--- config
    forktail on; forktail_trust all; forktail_trace_context on;
    location / { proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock; }
--- more_headers
tracestate: a=1
--- upstream
--- response_body_like eval
qr/\Atraceparent: 00-($::Hex)-[0-9a-f]{16}-02\nX-Request-ID: \1\n\z/



=== TEST 7: a uuid starts a trace without its dashes
--- config
    forktail on; forktail_format uuid; forktail_trace_context on;
    location / { return 200 "$forktail_id $forktail_trace_id"; }
--- response_body_like chomp
^(\w{8})-(\w{4})-(\w{4})-(\w{4})-(\w{12}) \1\2\3\4\5$



=== TEST 8: an accepted id of hex digits starts a trace, whose id is not called random
--- config
    forktail on; forktail_trust all; forktail_trace_context on;
    location / { return 200 "$forktail_id $forktail_traceparent"; }
--- more_headers
X-Request-ID: 0AF7651916CD43DD8448EB211C80319C
--- response_body_like chomp
^0AF7651916CD43DD8448EB211C80319C 00-0af7651916cd43dd8448eb211c80319c-\w{16}-00$



=== TEST 9: an accepted id that can not be a trace-id gets one beside it
--- config
    forktail on; forktail_trust all; forktail_trace_context on;
    location / { return 200 "$forktail_id $forktail_id_source $forktail_traceparent"; }
--- more_headers
X-Request-ID: client-1234
--- response_body_like chomp
^client-1234 accepted 00-(?!0{32})[0-9a-f]{32}-\w{16}-02$



=== TEST 10: a traceparent goes before an id, which is kept to be seen
--- config
    forktail on; forktail_trust all; forktail_trace_context on;
    location / { return 200 "$forktail_id $forktail_id_source $forktail_client_id"; }
--- more_headers
X-Request-ID: client-1234
traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
--- response_body chomp
0af7651916cd43dd8448eb211c80319c traceparent client-1234



=== TEST 11: an id that equals the trace-id was not rejected
--- config
    forktail on; forktail_trust all; forktail_trace_context on;
    location / { return 200 "$forktail_id_source [$forktail_client_id]"; }
--- more_headers
X-Request-ID: 0af7651916cd43dd8448eb211c80319c
traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
--- response_body chomp
traceparent []



=== TEST 12: an invalid traceparent leaves the id header its say
--- config
    forktail on; forktail_trust all; forktail_trace_context on;
    location / { return 200 "$forktail_id $forktail_id_source"; }
--- more_headers
X-Request-ID: client-1234
traceparent: 00-00000000000000000000000000000000-b7ad6b7169203331-01
--- response_body chomp
client-1234 accepted



=== TEST 13: the header's name in any case
--- config
    forktail on; forktail_trust all; forktail_trace_context on;
    location / { proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock; }
--- more_headers
TraceParent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
TRACESTATE: a=1
--- upstream
--- response_body_like chomp
\Atraceparent: 00-0af7651916cd43dd8448eb211c80319c-\w{16}-01\ntracestate: a=1\nX-Request-ID: 0af7651916cd43dd8448eb211c80319c\n\z



=== TEST 14: Trace-Parent is another header
--- config
    forktail on; forktail_trust all; forktail_trace_context on;
    location / { return 200 "$forktail_id_source"; }
--- more_headers
Trace-Parent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
--- response_body chomp
generated



=== TEST 15: two traceparents are none
--- config
    forktail on; forktail_trust all; forktail_trace_context on;
    location / { proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock; }
--- more_headers
traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
--- upstream
--- response_body_like eval
qr/\Atraceparent: 00-($::Hex)-[0-9a-f]{16}-02\nX-Request-ID: \1\n\z/



=== TEST 16: values that must be ignored
--- config
    forktail on; forktail_trust all; forktail_trace_context on;
    location / { return 200 "$forktail_id_source"; }
--- pipelined_requests eval
[("GET /") x 20]
--- more_headers eval
[map { "traceparent: $_\n" }
    "", "00", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-",
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.",
    "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.x",
    "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "FF-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "0x-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "00-0af7651916cd43dd8448eb211c80319c-B7ad6b7169203331-01",
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0A",
    "00-00000000000000000000000000000000-b7ad6b7169203331-01",
    "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
    "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "00-0af7651916cd43dd8448eb211c80319c.b7ad6b7169203331-01",
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331.01"]
--- response_body eval
[("generated") x 20]



=== TEST 17: higher versions are read by the shape of 00 and sent on as 00
--- config
    forktail on; forktail_trust all; forktail_trace_context on;
    location / { return 200 "$forktail_traceparent"; }
--- pipelined_requests eval
[("GET /") x 4]
--- more_headers eval
[map { "traceparent: $_\n" }
    "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-the-future-holds",
    "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
    "fe-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"]
--- response_body_like eval
[(qr/\A00-0af7651916cd43dd8448eb211c80319c-(?!b7ad)[0-9a-f]{16}-01\z/) x 4]



=== TEST 18: flags: known ones are kept, none is added, unknown ones are dropped
--- config
    forktail on; forktail_trust all; forktail_trace_context on;
    location / { return 200 "$forktail_traceparent"; }
--- pipelined_requests eval
[("GET /") x 6]
--- more_headers eval
[map { "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-$_\n" } qw(00 01 02 03 fc ff)]
--- response_body_like eval
[qr/-00$/, qr/-01$/, qr/-02$/, qr/-03$/, qr/-00$/, qr/-03$/]



=== TEST 19: white space around the value does not count
--- config
    forktail on; forktail_trust all; forktail_trace_context on;
    location / { return 200 "$forktail_id_source $forktail_id"; }
--- more_headers eval
"traceparent: \t 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 \t"
--- response_body chomp
traceparent 0af7651916cd43dd8448eb211c80319c



=== TEST 20: tracestate headers become one list, in their order
--- config
    forktail on; forktail_trust all; forktail_trace_context on;
    location / { proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock; }
--- more_headers
traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
tracestate: rojo=00f067aa0ba902b7 , congo=t61rcWkgMzE
A: 1
tracestate:
tracestate: ,fw529a3039@dt=x y z,,
--- upstream
--- response_body_like chomp
\Atraceparent: .*\ntracestate: rojo=00f067aa0ba902b7,congo=t61rcWkgMzE,fw529a3039@dt=x y z\nA: 1\nX-Request-ID: .*\n\z



=== TEST 21: a malformed tracestate is dropped whole, the trace goes on
--- config
    forktail on; forktail_trust all; forktail_trace_context on;
    location / { proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock; }
--- more_headers
traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
tracestate: a=1
tracestate: B=2
--- upstream
--- response_body_like chomp
\Atraceparent: 00-0af7651916cd43dd8448eb211c80319c-\w{16}-01\nX-Request-ID: 0af7651916cd43dd8448eb211c80319c\n\z



=== TEST 22: a tracestate without a valid traceparent is dropped
--- config
    forktail on; forktail_trust all; forktail_trace_context on;
    location / { proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock; }
--- more_headers
traceparent: 00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01
tracestate: a=1
--- upstream
--- response_body_like eval
qr/\Atraceparent: 00-($::Hex)-\w{16}-02\nX-Request-ID: \1\n\z/



=== TEST 23: 32 members of a tracestate pass
--- config
    forktail on; forktail_trust all; forktail_trace_context on;
    location / { proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock; }
--- more_headers eval
"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\n"
. CORE::join "\n", map { "tracestate: k$_=" . "v" x 60 } 1 .. 32
--- upstream
--- response_body_like eval
my $list = CORE::join ",", map { "k$_=" . "v" x 60 } 1 .. 32; qr/\ntracestate: $list\n/



=== TEST 24: 33 do not
--- config
    forktail on; forktail_trust all; forktail_trace_context on;
    location / { proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock; }
--- more_headers eval
"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\n"
. CORE::join "\n", map { "tracestate: k$_=v" } 1 .. 33
--- upstream
--- response_body_like chomp
\Atraceparent: 00-0af7651916cd43dd8448eb211c80319c-\w{16}-01\nX-Request-ID: \w+\n\z



=== TEST 25: a subrequest has the request's span
--- config
    forktail on; forktail_trace_context on;
    location / { ssi on; default_type text/html; return 200 "$forktail_span_id <!--#include virtual=\"/b\" -->"; }
    location /b { return 200 $forktail_span_id; }
--- response_body_like chomp
\A(\w{16}) \1\z



=== TEST 26: requests of one trace have a span each
--- config
    forktail on; forktail_trust all; forktail_trace_context on;
    location / { return 200 $forktail_span_id; }
--- pipelined_requests eval
["GET /", "GET /"]
--- more_headers
traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
--- response_body_like eval
[qr/^[0-9a-f]{16}$/, qr/^[0-9a-f]{16}$/]
--- distinct_ids



=== TEST 27: random ids start traces too
--- config
    forktail on; forktail_format random; forktail_trace_context on;
    location / { return 200 "$forktail_id $forktail_traceparent"; }
--- response_body_like chomp
^(\w{32}) 00-\1-\w{16}-02$



=== TEST 28: it is inherited from http and overruled in server
--- http_config
    forktail on; forktail_trace_context on;
    server { listen unix:$TEST_NGINX_HTML_DIR/in.sock; location / { return 200 "[$forktail_trace_id]"; } }
--- config
    forktail_trace_context off;
    location / { add_header X-Outer "[$forktail_trace_id]"; proxy_pass http://unix:$TEST_NGINX_HTML_DIR/in.sock; }
--- response_headers
X-Outer: []
--- response_body_like eval
qr/\A\[$::Hex\]\z/



=== TEST 29: uwsgi_pass gets HTTP_TRACEPARENT and HTTP_TRACESTATE
--- config
    forktail on; forktail_trust all; forktail_trace_context on;
    location / { uwsgi_pass unix:$TEST_NGINX_HTML_DIR/up.sock; }
--- more_headers
traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
tracestate: a=1
--- upstream: uwsgi
--- response_body_like chomp
\AHTTP_TRACEPARENT=00-0af7651916cd43dd8448eb211c80319c-\w{16}-01\nHTTP_TRACESTATE=a=1\nHTTP_X_REQUEST_ID=0af7651916cd43dd8448eb211c80319c\n\z
