# The variables, and what they are where there is nothing to say.
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Nginx::Socket;
use Forktail;

no_long_string();
repeat_each(2);
plan tests => repeat_each() * 34;
run_tests();

__DATA__



=== TEST 1: none is set where forktail is off
--- http_config
    log_format v "<$forktail_id|$forktail_id_source|$forktail_client_id|$forktail_trace_id|$forktail_span_id|$forktail_traceparent>";
--- config
    access_log logs/access.log v;
    location / { return 200; }
--- more_headers
X-Request-ID: client-1234
traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
--- access_log
<-|-|-|-|-|->



=== TEST 2: source: generated
--- http_config
    log_format v "<$forktail_id_source|$forktail_client_id>";
--- config
    forktail on;
    access_log logs/access.log v;
    location / { return 200; }
--- access_log
<generated|->



=== TEST 3: source: accepted
--- http_config
    log_format v "<$forktail_id_source|$forktail_client_id>";
--- config
    forktail on; forktail_trust all;
    access_log logs/access.log v;
    location / { return 200; }
--- more_headers
X-Request-ID: client-1234
--- access_log
<accepted|->



=== TEST 4: source: replaced
--- http_config
    log_format v "<$forktail_id_source|$forktail_client_id>";
--- config
    forktail on;
    access_log logs/access.log v;
    location / { return 200; }
--- more_headers
X-Request-ID: client-1234
--- access_log
<replaced|client-1234>



=== TEST 5: source: traceparent
--- http_config
    log_format v "<$forktail_id_source|$forktail_client_id>";
--- config
    forktail on; forktail_trust all; forktail_trace_context on;
    access_log logs/access.log v;
    location / { return 200; }
--- more_headers
traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
--- access_log
<traceparent|->



=== TEST 6: the trace variables need forktail_trace_context
--- http_config
    log_format v "<$forktail_trace_id|$forktail_span_id|$forktail_traceparent>";
--- config
    forktail on; forktail_trust all;
    access_log logs/access.log v;
    location / { return 200; }
--- more_headers
traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
--- access_log
<-|-|->



=== TEST 7: as the key of a map, a condition and a set
--- http_config
    map $forktail_id_source $from { accepted peer; default us; }
--- config
    forktail on; forktail_trust all;
    location / {
        set $copy $forktail_id;
        if ($forktail_id_source = accepted) { return 200 "$from $copy"; }
        return 500;
    }
--- more_headers
X-Request-ID: client-1234
--- response_body chomp
peer client-1234



=== TEST 8: asked for many times it stays the same
--- config
    forktail on;
    location / { return 200 "$forktail_id $forktail_id $forktail_id"; }
--- response_body_like eval
qr/\A($::Hex) \1 \1\z/



=== TEST 9: the JSON log format that is shipped writes the id
--- http_config eval
open my $in, '<', "$FindBin::Bin/../../conf/nginx/forktail_log.conf" or die "conf/nginx/forktail_log.conf: $!";
CORE::join '', <$in>
--- config
    forktail on; forktail_trust all;
    access_log logs/access.log forktail;
    location / { return 200 hello; }
--- request
GET /a"b?c=d
--- more_headers
X-Request-ID: client-1234
--- access_log eval
qr/^\{"ts":"[^"]*","msec":\d+\.\d{3},"event":"access","request_id":"client-1234","id_source":"accepted",.*"method":"GET","path":"\/a%22b\?c=d|^\{.*"path":"\/a\\"b\?c=d".*"status":200,.*\}$/



=== TEST 10: whose status is a JSON number also where nginx writes 042
--- http_config eval
open my $in, '<', "$FindBin::Bin/../../conf/nginx/forktail_log.conf" or die "conf/nginx/forktail_log.conf: $!";
CORE::join '', <$in>
--- config
    forktail on;
    access_log logs/access.log forktail;
    location / { return 42; }
--- error_code: 042
--- access_log
"status":42,"bytes":



=== TEST 11: and that of the line's own request where subrequests are logged too
--- http_config eval
open my $in, '<', "$FindBin::Bin/../../conf/nginx/forktail_log.conf" or die "conf/nginx/forktail_log.conf: $!";
CORE::join '', <$in>
--- config
    forktail on;
    log_subrequest on;
    access_log logs/access.log forktail;
    location / { auth_request /auth; root html; }
    location = /auth { return 204; }
--- request
GET /nothing
--- error_code: 404
--- access_log
"status":204,
"status":404,
