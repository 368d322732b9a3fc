# What nginx -t refuses, and what it says then.
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Nginx::Socket;
use Pass;

no_long_string();
repeat_each(2);
plan tests => repeat_each() * 82;
run_tests();

__DATA__



=== TEST 1: forktail_pass twice
--- config
location / { forktail_pass 127.0.0.1:1; forktail_pass 127.0.0.1:1;  }
--- must_die
--- error_log eval
qr/"forktail_pass" directive is duplicate/



=== TEST 2: a host that does not exist
--- config
location / { forktail_pass no.such.host.invalid:1; }
--- must_die
--- error_log eval
qr/host not found in upstream "no\.such\.host\.invalid"/



=== TEST 3: a modifier out of range
--- config
location / { forktail_pass 127.0.0.1:1; forktail_modifier1 256; }
--- must_die
--- error_log eval
qr/value must be between 0 and 255/



=== TEST 4: a reserved variable
--- config
location / { forktail_pass 127.0.0.1:1; forktail_param FORKTAIL_SENT 1; }
--- must_die
--- error_log eval
qr/"forktail_param" can not take "FORKTAIL_SENT": the module itself sends it, remove the directive/



=== TEST 5: the other reserved variable
--- config
location / { forktail_pass 127.0.0.1:1; forktail_param UWSGI_KEEP_CONN 1; }
--- must_die
--- error_log eval
qr/"forktail_param" can not take "UWSGI_KEEP_CONN": the module itself sends it/



=== TEST 6: a variable without a name
--- config
location / { forktail_pass 127.0.0.1:1; forktail_param "" 1; }
--- must_die
--- error_log eval
qr/"forktail_param" can not take "": name a variable, such as APP_ENV/



=== TEST 7: a third word that is not if_not_empty
--- config
location / { forktail_pass 127.0.0.1:1; forktail_param A 1 maybe; }
--- must_die
--- error_log eval
qr/invalid parameter "maybe"/



=== TEST 8: an unknown nginx variable
--- config
location / { forktail_pass 127.0.0.1:1; forktail_param A $no_such_variable; }
--- must_die
--- error_log eval
qr/unknown "no_such_variable" variable/



=== TEST 9: one buffer
--- config
location / { forktail_pass 127.0.0.1:1; forktail_buffers 1 4k; }
--- must_die
--- error_log eval
qr/"forktail_buffers" is 1: it must be in number at least 2/



=== TEST 10: busy buffers too small
--- config
location / { forktail_pass 127.0.0.1:1; forktail_busy_buffers_size 1k; }
--- must_die
--- error_log eval
qr/"forktail_busy_buffers_size" is 1024: it must be at least the larger of forktail_buffer_size and one of forktail_buffers, 4096/



=== TEST 11: busy buffers too large
--- config
location / { forktail_pass 127.0.0.1:1; forktail_busy_buffers_size 1m; }
--- must_die
--- error_log eval
qr/"forktail_busy_buffers_size" is 1048576: it must be at most all of forktail_buffers but one, 28672/



=== TEST 12: a temporary file write too small
--- config
location / { forktail_pass 127.0.0.1:1; forktail_temp_file_write_size 1k; }
--- must_die
--- error_log eval
qr/"forktail_temp_file_write_size" is 1024: it must be at least/



=== TEST 13: a temporary file too small
--- config
location / { forktail_pass 127.0.0.1:1; forktail_max_temp_file_size 1k; }
--- must_die
--- error_log eval
qr/"forktail_max_temp_file_size" is 1024: it must be 0 for no temporary files, or at least/



=== TEST 14: an unknown reason for another server
--- config
location / { forktail_pass 127.0.0.1:1; forktail_next_upstream http_418; }
--- must_die
--- error_log eval
qr/invalid value "http_418"/



=== TEST 15: a certificate without its key
--- config
location / { forktail_pass suwsgi://127.0.0.1:1; forktail_ssl_certificate x.pem; }
--- must_die
--- error_log eval
qr/"forktail_ssl_certificate" is given for "forktail_pass" without "forktail_ssl_certificate_key": add the latter/



=== TEST 16: verification without anybody trusted
--- config
location / { forktail_pass suwsgi://127.0.0.1:1; forktail_ssl_verify on; }
--- must_die
--- error_log eval
qr/"forktail_ssl_verify on" is given for "forktail_pass" without "forktail_ssl_trusted_certificate": add the latter/



=== TEST 17: forktail_pass at the server level
--- config
forktail_pass 127.0.0.1:1;
--- must_die
--- error_log eval
qr/"forktail_pass" directive is not allowed here/



=== TEST 18: a queue that is no number
--- config
location / { forktail_pass 127.0.0.1:1; forktail_queue many active=1; }
--- must_die
--- error_log eval
qr/"forktail_queue" can not take "many": SIZE is how many requests may wait, 0 to 65535/



=== TEST 19: a queue too large
--- config
location / { forktail_pass 127.0.0.1:1; forktail_queue 65536 active=1; }
--- must_die
--- error_log eval
qr/"forktail_queue" can not take "65536": SIZE is how many/



=== TEST 20: a queue without active
--- config
location / { forktail_pass 127.0.0.1:1; forktail_queue 10; }
--- must_die
--- error_log eval
qr/"forktail_queue" can not take "10": say how many requests may be at the backend, active=N/



=== TEST 21: a queue that lets nobody pass
--- config
location / { forktail_pass 127.0.0.1:1; forktail_queue 10 active=0; }
--- must_die
--- error_log eval
qr/"forktail_queue" can not take "active=0": active is 1 to 65535/



=== TEST 22: a queue without patience
--- config
location / { forktail_pass 127.0.0.1:1; forktail_queue 10 active=1 timeout=0; }
--- must_die
--- error_log eval
qr/"forktail_queue" can not take "timeout=0": timeout is a time above 0/



=== TEST 23: a queue with an unknown word
--- config
location / { forktail_pass 127.0.0.1:1; forktail_queue 10 active=1 color=red; }
--- must_die
--- error_log eval
qr/"forktail_queue" can not take "color=red": it knows active=N, timeout=T and zone=NAME:SIZE/



=== TEST 24: a queue zone without a size
--- config
location / { forktail_pass 127.0.0.1:1; forktail_queue 10 active=1 zone=app; }
--- must_die
--- error_log eval
qr/"forktail_queue" can not take "zone=app": a zone is NAME:SIZE/



=== TEST 25: a queue zone of one page
--- config
location / { forktail_pass 127.0.0.1:1; forktail_queue 10 active=1 zone=app:4k; }
--- must_die
--- error_log eval
qr/"forktail_queue" can not take "zone=app:4k": a zone is NAME:SIZE/



=== TEST 26: a queue zone too small for its queue
--- config
location / { forktail_pass 127.0.0.1:1; forktail_queue 60000 active=1 zone=app:64k; }
--- must_die
--- error_log eval
qr/"forktail_queue" zone "app" of 65536 bytes holds \d+ requests, but SIZE and active are 60001 together: give it a larger zone/



=== TEST 27: two queues of one zone that differ
--- config
location / { forktail_pass 127.0.0.1:1; forktail_queue 10 active=1 zone=app:64k; } location /b { forktail_pass 127.0.0.1:1; forktail_queue 10 active=2 zone=app:64k; }
--- must_die
--- error_log eval
qr/"forktail_queue" zone "app" has SIZE \d+ and active=\d, and \d+ and active=\d elsewhere: give both the same/



=== TEST 28: two queues of one target that differ
--- config
location / { forktail_pass 127.0.0.1:1; forktail_queue 10 active=1; } location /b { forktail_pass 127.0.0.1:1; forktail_queue 20 active=1; }
--- must_die
--- error_log eval
qr/"forktail_queue" zone "forktail_queue:127\.0\.0\.1:1" has SIZE/



=== TEST 29: a queue to a target of variables without a zone
--- config
location / { set $x 127.0.0.1:1; forktail_pass $x; forktail_queue 10 active=1; }
--- must_die
--- error_log eval
qr/"forktail_queue" needs zone=NAME:SIZE here, since "forktail_pass" has variables/



=== TEST 30: forktail_queue twice
--- config
location / { forktail_pass 127.0.0.1:1; forktail_queue 10 active=1; forktail_queue 10 active=1; }
--- must_die
--- error_log eval
qr/"forktail_queue" directive is duplicate/



=== TEST 31: a cache of no certificates
--- skip_nginx: 2: < 1.27.4
--- config
location / { forktail_pass 127.0.0.1:1; forktail_ssl_certificate_cache max=0; }
--- must_die
--- error_log eval
qr/"forktail_ssl_certificate_cache" can not take "max=0": max is how many certificates to keep, above 0/



=== TEST 32: a cache of certificates without a size
--- skip_nginx: 2: < 1.27.4
--- config
location / { forktail_pass 127.0.0.1:1; forktail_ssl_certificate_cache valid=10s; }
--- must_die
--- error_log eval
qr/"forktail_ssl_certificate_cache" can not take "valid=10s": say how many certificates to keep, max=N/



=== TEST 33: a cache of certificates for a time that is none
--- skip_nginx: 2: < 1.27.4
--- config
location / { forktail_pass 127.0.0.1:1; forktail_ssl_certificate_cache max=10 valid=soon; }
--- must_die
--- error_log eval
qr/"forktail_ssl_certificate_cache" can not take "valid=soon": a time is such as 10s or 5m/



=== TEST 34: a cache of certificates that is just on
--- skip_nginx: 2: < 1.27.4
--- config
location / { forktail_pass 127.0.0.1:1; forktail_ssl_certificate_cache on; }
--- must_die
--- error_log eval
qr/"forktail_ssl_certificate_cache" can not take "on": it knows off, or max=N, inactive=TIME and valid=TIME/



=== TEST 35: forktail_ssl_certificate_cache twice
--- skip_nginx: 2: < 1.27.4
--- config
location / { forktail_pass 127.0.0.1:1; forktail_ssl_certificate_cache off; forktail_ssl_certificate_cache off; }
--- must_die
--- error_log eval
qr/"forktail_ssl_certificate_cache" directive is duplicate/



=== TEST 36: a queue with too many at the backend
--- config
location / { forktail_pass 127.0.0.1:1; forktail_queue 10 active=65536; }
--- must_die
--- error_log eval
qr/"forktail_queue" can not take "active=65536": active is 1 to 65535/



=== TEST 37: a queue's answer that is no error
--- pass
forktail_queue_status 200;
--- must_die
--- error_log
value must be between 400 and 599



=== TEST 38: a queue's log level that nginx does not have
--- pass
forktail_queue_log_level loud;
--- must_die
--- error_log
invalid value "loud"



=== TEST 39: two queues of an upstream block
--- http_config
upstream app { server unix:/tmp/app.sock; forktail_queue 1 active=1; forktail_queue 2 active=1; }
--- pass
--- must_die
--- error_log
"forktail_queue" directive is duplicate



=== TEST 40: unequal queues on the way to one target, whose zones nobody named
--- config
location /a { forktail_pass 127.0.0.1:1; forktail_queue 10 active=1; }
location /b { forktail_pass 127.0.0.1:1; forktail_queue 60000 active=1; }
--- must_die
--- error_log
"forktail_queue" zone "forktail_queue:127.0.0.1:1" has SIZE 10 and active=1, and 60000 and active=1 elsewhere



=== TEST 41: a zone of two sizes
--- config
location /a { forktail_pass 127.0.0.1:1; forktail_queue 10 active=1 zone=a:64k; }
location /b { forktail_pass 127.0.0.1:1; forktail_queue 10 active=1 zone=a:128k; }
--- must_die
--- error_log
"forktail_queue" zone "a" is 65536 bytes large, and 131072 elsewhere
