# What nginx says to a configuration that is wrong.
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Nginx::Socket;
use Forktail;

no_long_string();
master_on();
repeat_each(1);
plan tests => repeat_each() * 96;
run_tests();

__DATA__



=== TEST 1: forktail
--- config
    forktail yes;
--- must_die
--- error_log
invalid value "yes" in "forktail" directive, it must be "on" or "off"



=== TEST 2: forktail twice
--- config
    forktail on;
    forktail off;
--- must_die
--- error_log
"forktail" directive is duplicate



=== TEST 3: forktail in a location
--- config
    location / { forktail on; }
--- must_die
--- error_log
"forktail" directive is not allowed here



=== TEST 4: forktail_header with a blank
--- config
    forktail_header "X Request";
--- must_die
--- error_log
"forktail_header" can not take "X Request": it must be a header's name of letters, digits and "-"



=== TEST 5: forktail_header with an underscore, which nginx would drop
--- config
    forktail_header X_Request_ID;
--- must_die
--- error_log
"forktail_header" can not take "X_Request_ID": it must be a header's name of letters, digits and "-"



=== TEST 6: forktail_header without a name
--- config
    forktail_header "";
--- must_die
--- error_log
"forktail_header" can not take "": it must be a header's name such as X-Request-ID



=== TEST 7: forktail_header with a header of the request that nginx itself reads
--- config
    forktail_header content-length;
--- must_die
--- error_log
"forktail_header" can not take "content-length": it has a meaning of its own, it must be a header such as X-Request-ID



=== TEST 8: forktail_header with a header of the response that nginx itself writes
--- config
    forktail_header Server;
--- must_die
--- error_log
"forktail_header" can not take "Server": it has a meaning of its own, it must be a header such as X-Request-ID



=== TEST 9: forktail_header with a header of the trace
--- config
    forktail_header Traceparent;
--- must_die
--- error_log
"forktail_header" can not take "Traceparent": it has a meaning of its own



=== TEST 10: forktail_header twice
--- config
    forktail_header X-A;
    forktail_header X-B;
--- must_die
--- error_log
"forktail_header" directive is duplicate



=== TEST 11: forktail_format
--- config
    forktail_format ulid;
--- must_die
--- error_log
"forktail_format" can not take "ulid": it must be "hex", "uuid" or "random"



=== TEST 12: forktail_format twice
--- config
    forktail_format hex;
    forktail_format hex;
--- must_die
--- error_log
"forktail_format" directive is duplicate



=== TEST 13: forktail_trust with a name
--- config
    forktail_trust proxy.example.com;
--- must_die
--- error_log
"forktail_trust" can not take "proxy.example.com": it must be an address or a CIDR such as 10.0.0.0/8 or fd00::/8, "unix:", "all" or "none"



=== TEST 14: forktail_trust with too long a mask
--- config
    forktail_trust 10.0.0.0/33;
--- must_die
--- error_log
"forktail_trust" can not take "10.0.0.0/33": it must be an address or a CIDR



=== TEST 15: forktail_trust with a path
--- config
    forktail_trust unix:/run/a.sock;
--- must_die
--- error_log
"forktail_trust" can not take "unix:/run/a.sock": it must be an address or a CIDR



=== TEST 16: forktail_trust all beside an address
--- config
    forktail_trust 10.0.0.0/8 all;
--- must_die
--- error_log
"forktail_trust" can not take "all": "all" and "none" must stand alone



=== TEST 17: forktail_trust with an address beside none
--- config
    forktail_trust none;
    forktail_trust 10.0.0.0/8;
--- must_die
--- error_log
"forktail_trust" can not take "10.0.0.0/8": "all" and "none" must stand alone



=== TEST 18: forktail_trust without a value
--- config
    forktail_trust;
--- must_die
--- error_log
invalid number of arguments in "forktail_trust" directive



=== TEST 19: forktail_trust with low bits is accepted and pointed out
--- config
    forktail_trust 10.0.0.1/8;
    location / { return 200; }
--- error_log
"forktail_trust": low address bits of "10.0.0.1/8" are meaningless



=== TEST 20: forktail_trace_context
--- config
    forktail_trace_context w3c;
--- must_die
--- error_log
invalid value "w3c" in "forktail_trace_context" directive, it must be "on" or "off"



=== TEST 21: forktail_response_header with a bad name
--- config
    forktail_response_header "X:";
--- must_die
--- error_log
"forktail_response_header" can not take "X:": it must be a header's name of letters, digits and "-"



=== TEST 22: forktail_response_header with a header of nginx
--- config
    location / { forktail_response_header Location; }
--- must_die
--- error_log
"forktail_response_header" can not take "Location": it has a meaning of its own



=== TEST 23: forktail_response_header twice
--- config
    forktail_response_header on;
    forktail_response_header off;
--- must_die
--- error_log
"forktail_response_header" directive is duplicate



=== TEST 24: forktail_error_log
--- config
    forktail_error_log debug;
--- must_die
--- error_log
invalid value "debug" in "forktail_error_log" directive, it must be "on" or "off"



=== TEST 25: forktail_error_log in a location
--- config
    location / { forktail_error_log on; }
--- must_die
--- error_log
"forktail_error_log" directive is not allowed here



=== TEST 26: forktail_override_request_id in a server
--- config
    forktail_override_request_id on;
--- must_die
--- error_log
"forktail_override_request_id" directive is not allowed here



=== TEST 27: forktail_override_request_id
--- http_config
    forktail_override_request_id maybe;
--- config
    location / { return 200; }
--- must_die
--- error_log
invalid value "maybe" in "forktail_override_request_id" directive, it must be "on" or "off"



=== TEST 28: forktail_header with a header that the application sets for the client
--- config
    forktail_header set-cookie;
--- must_die
--- error_log
"forktail_header" can not take "set-cookie": it has a meaning of its own



=== TEST 29: forktail_response_header with one that nginx sets for caches
--- config
    location / { forktail_response_header Vary; }
--- must_die
--- error_log
"forktail_response_header" can not take "Vary": it has a meaning of its own



=== TEST 30: forktail_response_header with one that asks for a password
--- config
    forktail_response_header WWW-Authenticate;
--- must_die
--- error_log
"forktail_response_header" can not take "WWW-Authenticate": it has a meaning of its own



=== TEST 31: forktail_response_header with one that names other documents
--- config
    forktail_response_header Link;
--- must_die
--- error_log
"forktail_response_header" can not take "Link": it has a meaning of its own



=== TEST 32: forktail_response_header with one that says when to come back
--- config
    forktail_response_header Retry-After;
--- must_die
--- error_log
"forktail_response_header" can not take "Retry-After": it has a meaning of its own
