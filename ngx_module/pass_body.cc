#include "pass.h"

namespace forktail {
namespace {

void note_excess(ngx_http_request_t* r) {
  pass_context(r)->excess = true;
  r->upstream->keepalive = 0;
}

// A server that is about to leave gives its connections back by an empty line, which may come close
// behind a response: no part of it, and no excess to complain of, but the end of the connection.
bool is_give_back(const u_char* from, const u_char* last) {
  return last - from == 2 && from[0] == CR && from[1] == LF;
}

void finish_chunked(ngx_http_request_t* r, const ngx_buf_t* buf) {
  if (is_give_back(buf->pos, buf->last)) {
    note_excess(r);
    return;
  }
  if (buf->pos != buf->last) {
    ngx_log_error(NGX_LOG_WARN, r->connection->log, 0, "upstream sent data after final chunk");
    note_excess(r);
    return;
  }
  keep_connection(r);
}

ngx_int_t refuse_chunked(const ngx_http_request_t* r) {
  ngx_log_error(NGX_LOG_ERR, r->connection->log, 0, "upstream sent invalid chunked response");
  return NGX_ERROR;
}

// Moves `raw` past what it holds of the current chunk. Returns the end of that.
u_char* take_chunk_data(ngx_http_chunked_t* chunked, ngx_buf_t* raw) {
  const off_t size = ngx_min(chunked->size, static_cast<off_t>(raw->last - raw->pos));
  chunked->size -= size;
  raw->pos += size;
  return raw->pos;
}

// Appends to the pipe's input a buffer that begins where `raw` stands.
ngx_buf_t* add_pipe_buf(ngx_event_pipe_t* pipe, const ngx_buf_t* raw) {
  ngx_chain_t* link = ngx_chain_get_free_buf(pipe->pool, &pipe->free);
  if (link == nullptr) {
    return nullptr;
  }
  ngx_buf_t* data = link->buf;
  *data = {};
  data->pos = raw->pos;
  data->start = raw->start;
  data->end = raw->end;
  data->tag = pipe->tag;
  data->temporary = 1;
  data->recycled = 1;
  data->num = raw->num;
  if (pipe->in != nullptr) {
    *pipe->last_in = link;
  } else {
    pipe->in = link;
  }
  pipe->last_in = &link->next;
  return data;
}

ngx_int_t buffered_copy(ngx_event_pipe_t* pipe, ngx_buf_t* raw) {
  ngx_http_request_t* r = static_cast<PassContext*>(pipe->input_ctx)->request;
  const bool excess = pipe->length >= 0 && raw->last - raw->pos > pipe->length;
  if (excess && is_give_back(raw->pos + pipe->length, raw->last)) {
    raw->last = raw->pos + pipe->length;
  }
  const ngx_int_t rc = ngx_event_pipe_copy_input_filter(pipe, raw);
  if (excess) {
    note_excess(r);
  } else if (pipe->length == 0) {
    keep_connection(r);
  }
  return rc;
}

// nginx frees `raw` when the last of the buffers that lie in it has been sent: they are linked from
// it through their shadows, and the last one points back.
ngx_int_t buffered_chunked(ngx_event_pipe_t* pipe, ngx_buf_t* raw) {
  ngx_http_request_t* r = static_cast<PassContext*>(pipe->input_ctx)->request;
  ngx_http_chunked_t* chunked = &pass_context(r)->chunked;
  ngx_buf_t* data = nullptr;
  ngx_buf_t** shadow = &raw->shadow;
  ngx_int_t rc;
  while ((rc = parse_chunked(r, raw, chunked)) == NGX_OK) {
    data = add_pipe_buf(pipe, raw);
    if (data == nullptr) {
      return NGX_ERROR;
    }
    data->last = take_chunk_data(chunked, raw);
    *shadow = data;
    shadow = &data->shadow;
  }
  if (rc == NGX_DONE) {
    pipe->length = 0;
    finish_chunked(r, raw);
  } else if (rc == NGX_AGAIN) {
    pipe->length = chunked->length;
  } else {
    return refuse_chunked(r);
  }
  if (data == nullptr) {
    return ngx_event_pipe_add_free_buf(pipe, raw);
  }
  data->shadow = raw;
  data->last_shadow = 1;
  return NGX_OK;
}

ngx_int_t unbuffered_copy(ngx_http_request_t* r, ssize_t bytes) {
  ngx_http_upstream_t* u = r->upstream;
  const bool excess = u->length >= 0 && bytes > u->length;
  const u_char* body = u->buffer.last;
  if (excess && is_give_back(body + u->length, body + bytes)) {
    bytes = static_cast<ssize_t>(u->length);
    if (bytes == 0) {
      note_excess(r);
      return NGX_OK;
    }
  }
  const ngx_int_t rc = ngx_http_upstream_non_buffered_filter(r, bytes);
  if (excess) {
    note_excess(r);
  } else if (u->length == 0) {
    keep_connection(r);
  }
  return rc;
}

ngx_int_t unbuffered_chunked(ngx_http_request_t* r, ssize_t bytes) {
  ngx_http_upstream_t* u = r->upstream;
  ngx_buf_t* raw = &u->buffer;
  raw->pos = raw->last;
  raw->last += bytes;
  if (u->length == 0) {  // nginx reads on while the client has not taken all of the response
    finish_chunked(r, raw);
    return NGX_OK;
  }

  ngx_http_chunked_t* chunked = &pass_context(r)->chunked;
  ngx_chain_t** tail = &u->out_bufs;
  while (*tail != nullptr) {
    tail = &(*tail)->next;
  }
  ngx_int_t rc;
  while ((rc = parse_chunked(r, raw, chunked)) == NGX_OK) {
    ngx_chain_t* link = ngx_chain_get_free_buf(r->pool, &u->free_bufs);
    if (link == nullptr) {
      return NGX_ERROR;
    }
    link->buf->flush = 1;
    link->buf->memory = 1;
    link->buf->tag = u->output.tag;
    link->buf->pos = raw->pos;
    link->buf->last = take_chunk_data(chunked, raw);
    *tail = link;
    tail = &link->next;
  }
  if (rc == NGX_DONE) {
    u->length = 0;
    finish_chunked(r, raw);
    return NGX_OK;
  }
  return rc == NGX_AGAIN ? NGX_OK : refuse_chunked(r);
}

}  // namespace

ngx_int_t ngx_http_forktail_pass_filter_init(void* context) {
  ngx_http_request_t* r = static_cast<PassContext*>(context)->request;
  ngx_http_upstream_t* u = r->upstream;
  if (has_no_body(r)) {
    u->pipe->length = u->length = 0;
  } else if (u->headers_in.chunked) {
    u->pipe->length = kShortestChunked;
    u->length = 1;  // not known, and not finished by the end of the connection
  } else {
    u->pipe->length = u->length = u->headers_in.content_length_n;
  }
  return NGX_OK;
}

ngx_int_t ngx_http_forktail_pass_buffered_filter(ngx_event_pipe_t* pipe, ngx_buf_t* buf) {
  ngx_http_request_t* r = static_cast<PassContext*>(pipe->input_ctx)->request;
  if (buf->pos == buf->last || pipe->upstream_done) {
    return NGX_OK;
  }
  if (!r->upstream->headers_in.chunked || has_no_body(r)) {
    return buffered_copy(pipe, buf);
  }
  if (pipe->length == 0) {
    finish_chunked(r, buf);
    pipe->upstream_done = 1;
    return NGX_OK;
  }
  return buffered_chunked(pipe, buf);
}

ngx_int_t ngx_http_forktail_pass_unbuffered_filter(void* context, ssize_t bytes) {
  ngx_http_request_t* r = static_cast<PassContext*>(context)->request;
  if (r->upstream->headers_in.chunked && !has_no_body(r)) {
    return unbuffered_chunked(r, bytes);
  }
  return unbuffered_copy(r, bytes);
}

}  // namespace forktail
