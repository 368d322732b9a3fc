#pragma once

struct ngx_http_request_t;
