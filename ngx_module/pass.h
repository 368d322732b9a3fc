// The pass part: one request's way from nginx to a uwsgi server and back.
//
// Everything here runs in an nginx worker (one thread), except the configuration, which nginx reads
// in its master and which is read-only afterwards. A PassContext lives as long as its request.
#pragma once

#include "compat.h"
#include "ngx_http_forktail.h"
#include "pass_params.h"
#include "queue_conf.h"

namespace forktail {

constexpr ngx_msec_t kDefaultTimeout = 60000;

struct PassMainConf {
  const ngx_module_t* keepalive;  // nginx's cache of connections, where nginx has it
};

struct PassSrvConf {
  ngx_http_upstream_init_peer_pt init_peer;  // of an upstream block, in whose place ours stands
};

// What it takes to speak TLS to the server, beyond what nginx's upstream keeps itself.
struct TlsConf {
  bool wanted;  // forktail_pass says suwsgi://, or is made of variables that may say so
  ngx_uint_t protocols;
  ngx_str_t ciphers;
  ngx_uint_t verify_depth;
  ngx_str_t trusted_certificate;
  ngx_str_t crl;
  ngx_array_t* conf_commands;
};

struct PassLocConf {
  ngx_http_upstream_conf_t upstream;
  ngx_http_complex_value_t* target;  // where to pass to, when that is made of variables
  ngx_array_t* params_source;        // of ngx_http_upstream_param_t: this level's forktail_param
  const Params* params;
  ngx_uint_t modifier1;
  ngx_uint_t modifier2;
  TlsConf tls;
  ngx_str_t target_name;  // what forktail_pass says, when that is not made of variables
  ngx_path_t* temp_path;  // what forktail_temp_path says
  bool hides_id;          // the server's own, since the id part sets one
  bool keeps;             // connections to the upstream block, when its name has no variables
  Queue queue;
  bool asks_upstream;  // for a queue, since none is said to be, or not to be, here
};

struct PassContext {
  ngx_http_request_t* request;
  ngx_buf_t* packet;
  ngx_msec_t made;  // when the packet was
  u_char* sent;     // where the packet says when it was made
  ngx_http_status_t status;
  ngx_http_chunked_t chunked;
  ngx_event_free_peer_pt free_peer;  // in whose place ours stands
  bool keep_conn;                    // the connection may be kept, and the server was told so
  bool asked_head;      // the packet's REQUEST_METHOD is HEAD, whatever the client's is
  bool interim;         // the head being read is a 1xx one
  ngx_uint_t interims;  // how many there have been
  bool excess;          // the server sent more than one response
};

inline PassLocConf* pass_loc_conf(const ngx_http_request_t* r) {
  return static_cast<PassLocConf*>(ngx_http_get_module_loc_conf(r, ngx_http_forktail_pass_module));
}

// Not kept in r->ctx, which a filter that answers in the response's place wipes: the upstream is
// read and finalized after that.
inline PassContext* pass_context(const ngx_http_request_t* r) {
  return static_cast<PassContext*>(r->upstream->input_filter_ctx);
}

// pass_module.cc
// Whether nginx may keep connections to `upstream`: a server that is told so spends effort on it.
bool keeps_connections(const PassMainConf& conf, const ngx_http_upstream_srv_conf_t* upstream);

// pass_conf.cc
void* ngx_http_forktail_pass_create_loc_conf(ngx_conf_t* cf);
char* ngx_http_forktail_pass_merge_loc_conf(ngx_conf_t* cf, void* parent, void* child);
char* ngx_http_forktail_pass_set(ngx_conf_t* cf, ngx_command_t* command, void* conf);

// pass_migrate.cc
// Warns of uwsgi_ directives that lie in a location which goes by forktail_pass.
void warn_of_uwsgi(ngx_conf_t* cf, const PassLocConf* conf);

// pass_tls.cc
void init_tls(PassLocConf* conf);
ngx_int_t merge_tls(ngx_conf_t* cf, const PassLocConf& prev, PassLocConf* conf);
char* ngx_http_forktail_pass_set_certificate_cache(ngx_conf_t* cf, ngx_command_t* command,
                                                   void* conf);
char* ngx_http_forktail_pass_set_password_file(ngx_conf_t* cf, ngx_command_t* command, void* conf);

// pass_request.cc
// Takes uwsgi:// or suwsgi:// off `url`; true when what it took asks for TLS.
bool take_scheme(ngx_str_t* url);
ngx_int_t ngx_http_forktail_pass_handler(ngx_http_request_t* r);

// pass_packet.cc: makes the uwsgi packet of `r` in its context. Returns NGX_OK or the HTTP status
// to answer with: 414 or 431 when the request does not fit into a packet, 500 when memory ran out.
ngx_int_t make_packet(ngx_http_request_t* r);
// Writes the time of the day into the packet: a packet that waited, or is sent once more, must not
// bear the time at which it was first made.
void stamp_packet(PassContext* context);

// Whether a part of the body of `r`, or all of it, has been passed on already and is there no more.
bool body_is_cut(const ngx_http_request_t* r);

// pass_response.cc
ngx_int_t ngx_http_forktail_pass_process_head(ngx_http_request_t* r);
// Whether a response without a body is what these headers announce (RFC 9112, section 6.3).
bool has_no_body(const ngx_http_request_t* r);
// To be called when a response has been read to its exact end.
void keep_connection(ngx_http_request_t* r);

// pass_retry.cc
// Sees to it that a request which has killed a server's process is not offered to the next one.
void guard_peers(ngx_conf_t* cf);
// Takes notice of a header of a response.
void note_gives_back(ngx_http_request_t* r, const ngx_table_elt_t& header);

// pass_body.cc
ngx_int_t ngx_http_forktail_pass_filter_init(void* context);
ngx_int_t ngx_http_forktail_pass_buffered_filter(ngx_event_pipe_t* pipe, ngx_buf_t* buf);
ngx_int_t ngx_http_forktail_pass_unbuffered_filter(void* context, ssize_t bytes);

}  // namespace forktail
