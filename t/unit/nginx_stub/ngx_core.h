#pragma once

#define NGX_CONF_ERROR ((void*)-1)

typedef struct {
  size_t len;
  u_char* data;
} ngx_str_t;

typedef int ngx_shmtx_t;

typedef struct {
  ngx_uint_t pfree;
  ngx_shmtx_t mutex;
} ngx_slab_pool_t;

struct ngx_module_t;

extern ngx_uint_t ngx_pagesize;
void* ngx_slab_calloc(ngx_slab_pool_t* pool, size_t size);
void ngx_shmtx_lock(ngx_shmtx_t* mutex);
void ngx_shmtx_unlock(ngx_shmtx_t* mutex);
