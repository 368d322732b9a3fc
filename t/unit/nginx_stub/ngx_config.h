// The little of nginx that ngx_module/queue_fifo.cc uses, so that its test needs no nginx.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef uintptr_t ngx_uint_t;
