# Which inbound ids are taken over, and what happens to the others.
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Nginx::Socket;
use Forktail;

no_long_string();
repeat_each(2);
plan tests => repeat_each() * 85;
run_tests();

__DATA__



=== TEST 1: eight characters are enough
--- config
    forktail on; forktail_trust all;
    location / { return 200 "$forktail_id_source $forktail_id"; }
--- more_headers
X-Request-ID: abcdefgh
--- response_body chomp
accepted abcdefgh



=== TEST 2: seven are not
--- config
    forktail on; forktail_trust all;
    location / { return 200 "$forktail_id_source $forktail_client_id $forktail_id"; }
--- more_headers
X-Request-ID: abcdefg
--- response_body_like eval
qr/\Areplaced abcdefg $::Hex\z/



=== TEST 3: 128 characters are taken whole
--- config
    forktail on; forktail_trust all;
    location / { return 200 "$forktail_id_source $forktail_id"; }
--- more_headers eval
"X-Request-ID: " . "a" x 128
--- response_body eval
"accepted " . "a" x 128



=== TEST 4: 129 are replaced, not cut
--- config
    forktail on; forktail_trust all;
    location / { return 200 "$forktail_id_source $forktail_client_id $forktail_id"; }
--- more_headers eval
"X-Request-ID: " . "a" x 129
--- response_body_like eval
qr/\Areplaced a{64} $::Hex\z/



=== TEST 5: every character of the set
--- config
    forktail on; forktail_trust all;
    location / { return 200 $forktail_id; }
--- more_headers
X-Request-ID: ABCXYZabcxyz0189._~+/=@:-
--- response_body chomp
ABCXYZabcxyz0189._~+/=@:-



=== TEST 6: a blank inside
--- config
    forktail on; forktail_trust all;
    location / { return 200 "$forktail_id_source $forktail_client_id"; }
--- more_headers
X-Request-ID: abcd efgh
--- response_body chomp
replaced abcd efgh



=== TEST 7: a comma, semicolon and others of that kind
--- config
    forktail on; forktail_trust all;
    location / { return 200 "$forktail_id_source"; }
--- pipelined_requests eval
[("GET /") x 9]
--- more_headers eval
[map { "X-Request-ID: abcd${_}efgh\n" } split //, ",;!#%&()|"]
--- response_body eval
[("replaced") x 9]



=== TEST 8: a quote is escaped
--- config
    forktail on; forktail_trust all;
    location / { return 200 $forktail_client_id; }
--- more_headers
X-Request-ID: abcd"efgh\ijkl
--- response_body chomp
abcd\x22efgh\x5Cijkl



=== TEST 9: bytes above ASCII are escaped
--- config
    forktail on; forktail_trust all;
    location / { return 200 $forktail_client_id; }
--- more_headers eval
"X-Request-ID: abcd\xc3\xa9efgh"
--- response_body chomp
abcd\xC3\xA9efgh



=== TEST 10: a tab is escaped
--- config
    forktail on; forktail_trust all;
    location / { return 200 $forktail_client_id; }
--- more_headers eval
"X-Request-ID: abcd\tefgh"
--- response_body chomp
abcd\x09efgh



=== TEST 11: a terminal's escape sequence is escaped
--- config
    forktail on; forktail_trust all;
    location / { return 200 $forktail_client_id; }
--- more_headers eval
"X-Request-ID: \e[2Jabcd"
--- response_body chomp
\x1B[2Jabcd



=== TEST 12: no escape is cut in its middle
--- config
    forktail on; forktail_trust all;
    location / { return 200 $forktail_client_id; }
--- more_headers eval
"X-Request-ID: " . "a" x 61 . "\xff\xff"
--- response_body eval
"a" x 61



=== TEST 13: an empty header is a refused one
--- config
    forktail on; forktail_trust all;
    location / { return 200 "$forktail_id_source [$forktail_client_id]"; }
--- more_headers eval
"X-Request-ID: "
--- response_body chomp
replaced []



=== TEST 14: two valid copies of a trusted peer are one list, and no id
--- config
    forktail on; forktail_trust all;
    location / { return 200 "$forktail_id_source [$forktail_client_id]"; }
--- more_headers
X-Request-ID: client-1234
X-Request-ID: client-5678
--- response_body chomp
replaced [client-1234, client-5678]



=== TEST 15: two equal copies are a list too
--- config
    forktail on; forktail_trust all;
    location / { return 200 "$forktail_id_source [$forktail_client_id]"; }
--- more_headers
X-Request-ID: client-1234
X-Request-ID: client-1234
--- response_body chomp
replaced [client-1234, client-1234]



=== TEST 16: a list of copies is kept to 64 characters
--- config
    forktail on; forktail_trust all;
    location / { return 200 "$forktail_client_id"; }
--- more_headers eval
CORE::join "\n", ("X-Request-ID: client-1234") x 10
--- response_body eval
substr CORE::join(", ", ("client-1234") x 10), 0, 64



=== TEST 17: the replacement has the configured format
--- config
    forktail on; forktail_format uuid;
    location / { return 200 $forktail_id; }
--- more_headers
X-Request-ID: client-1234
--- response_body_like eval
qr/\A$::Uuid\z/



=== TEST 18: an accepted id keeps its shape whatever the format
--- config
    forktail on; forktail_trust all; forktail_format uuid;
    location / { return 200 $forktail_id; }
--- more_headers
X-Request-ID: 0AF7651916CD43DD8448EB211C80319C
--- response_body chomp
0AF7651916CD43DD8448EB211C80319C



=== TEST 19: an accepted id reaches upstream and response
--- config
    forktail on; forktail_trust all;
    location / { proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock; }
--- more_headers
x-request-id: client-1234
--- upstream
--- response_body
X-Request-ID: client-1234
--- response_headers
X-Request-ID: client-1234



=== TEST 20: the configured header is the one that is read
--- config
    forktail on; forktail_trust all; forktail_header X-Correlation-ID;
    location / { return 200 $forktail_id; }
--- more_headers
X-Request-ID: client-1234
X-Correlation-ID: client-5678
--- response_body chomp
client-5678
