// forktail_queue_report: answers with the state of all queues as one JSON object.
#pragma once

#include "ngx_http_forktail.h"

namespace forktail {

char* ngx_http_forktail_queue_report_set(ngx_conf_t* cf, ngx_command_t* command, void* conf);

}  // namespace forktail
