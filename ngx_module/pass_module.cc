#include "foreign_conf.h"
#include "pass.h"

namespace forktail {
namespace {

constexpr ngx_uint_t kAnywhere = NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF;
constexpr ngx_uint_t kFlag = kAnywhere | NGX_CONF_FLAG;
constexpr ngx_uint_t kTake1 = kAnywhere | NGX_CONF_TAKE1;
constexpr ngx_uint_t kMore = kAnywhere | NGX_CONF_1MORE;

template <size_t N>
ngx_command_t directive(const char (&name)[N], ngx_uint_t type, Setter set, size_t offset = 0,
                        void* post = nullptr) {
  return {{N - 1, reinterpret_cast<u_char*>(const_cast<char*>(name))},
          type,
          set,
          NGX_HTTP_LOC_CONF_OFFSET,
          offset,
          post};
}

ngx_conf_num_bounds_t g_modifier_bounds = {ngx_conf_check_num_bounds, 0, 255};

ngx_conf_bitmask_t g_next_upstream[] = {
    {ngx_string("error"), NGX_HTTP_UPSTREAM_FT_ERROR},
    {ngx_string("timeout"), NGX_HTTP_UPSTREAM_FT_TIMEOUT},
    {ngx_string("invalid_header"), NGX_HTTP_UPSTREAM_FT_INVALID_HEADER},
    {ngx_string("non_idempotent"), NGX_HTTP_UPSTREAM_FT_NON_IDEMPOTENT},
    {ngx_string("http_500"), NGX_HTTP_UPSTREAM_FT_HTTP_500},
    {ngx_string("http_503"), NGX_HTTP_UPSTREAM_FT_HTTP_503},
    {ngx_string("http_403"), NGX_HTTP_UPSTREAM_FT_HTTP_403},
    {ngx_string("http_404"), NGX_HTTP_UPSTREAM_FT_HTTP_404},
    {ngx_string("http_429"), NGX_HTTP_UPSTREAM_FT_HTTP_429},
    {ngx_string("off"), NGX_HTTP_UPSTREAM_FT_OFF},
    {ngx_null_string, 0}};

#if defined(FORKTAIL_TLS)
ngx_conf_bitmask_t g_ssl_protocols[] = {{ngx_string("SSLv2"), NGX_SSL_SSLv2},
                                        {ngx_string("SSLv3"), NGX_SSL_SSLv3},
                                        {ngx_string("TLSv1"), NGX_SSL_TLSv1},
                                        {ngx_string("TLSv1.1"), NGX_SSL_TLSv1_1},
                                        {ngx_string("TLSv1.2"), NGX_SSL_TLSv1_2},
                                        {ngx_string("TLSv1.3"), NGX_SSL_TLSv1_3},
                                        {ngx_null_string, 0}};
#endif

#define FIELD(name) offsetof(PassLocConf, upstream.name)

ngx_command_t g_directives[] = {
    directive("forktail_pass", NGX_HTTP_LOC_CONF | NGX_HTTP_LIF_CONF | NGX_CONF_TAKE1,
              ngx_http_forktail_pass_set),
    directive("forktail_param", kAnywhere | NGX_CONF_TAKE23, ngx_http_forktail_pass_set_param,
              offsetof(PassLocConf, params_source)),
    directive("forktail_modifier1", kTake1, ngx_conf_set_num_slot, offsetof(PassLocConf, modifier1),
              &g_modifier_bounds),
    directive("forktail_modifier2", kTake1, ngx_conf_set_num_slot, offsetof(PassLocConf, modifier2),
              &g_modifier_bounds),

    directive("forktail_connect_timeout", kTake1, ngx_conf_set_msec_slot, FIELD(connect_timeout)),
    directive("forktail_send_timeout", kTake1, ngx_conf_set_msec_slot, FIELD(send_timeout)),
    directive("forktail_read_timeout", kTake1, ngx_conf_set_msec_slot, FIELD(read_timeout)),

    directive("forktail_buffering", kFlag, ngx_conf_set_flag_slot, FIELD(buffering)),
    directive("forktail_buffer_size", kTake1, ngx_conf_set_size_slot, FIELD(buffer_size)),
    directive("forktail_buffers", kAnywhere | NGX_CONF_TAKE2, ngx_conf_set_bufs_slot, FIELD(bufs)),
    directive("forktail_busy_buffers_size", kTake1, ngx_conf_set_size_slot,
              FIELD(busy_buffers_size_conf)),
    directive("forktail_max_temp_file_size", kTake1, ngx_conf_set_size_slot,
              FIELD(max_temp_file_size_conf)),
    directive("forktail_temp_file_write_size", kTake1, ngx_conf_set_size_slot,
              FIELD(temp_file_write_size_conf)),
    directive("forktail_temp_path", kAnywhere | NGX_CONF_TAKE1234, ngx_conf_set_path_slot,
              offsetof(PassLocConf, temp_path)),
    directive("forktail_limit_rate", kTake1, kLimitRateSetter, FIELD(limit_rate)),

    directive("forktail_request_buffering", kFlag, ngx_conf_set_flag_slot,
              FIELD(request_buffering)),
    directive("forktail_pass_request_headers", kFlag, ngx_conf_set_flag_slot,
              FIELD(pass_request_headers)),
    directive("forktail_pass_request_body", kFlag, ngx_conf_set_flag_slot,
              FIELD(pass_request_body)),
    directive("forktail_ignore_client_abort", kFlag, ngx_conf_set_flag_slot,
              FIELD(ignore_client_abort)),

    directive("forktail_next_upstream", kMore, ngx_conf_set_bitmask_slot, FIELD(next_upstream),
              g_next_upstream),
    directive("forktail_next_upstream_tries", kTake1, ngx_conf_set_num_slot,
              FIELD(next_upstream_tries)),
    directive("forktail_next_upstream_timeout", kTake1, ngx_conf_set_msec_slot,
              FIELD(next_upstream_timeout)),
    directive("forktail_intercept_errors", kFlag, ngx_conf_set_flag_slot, FIELD(intercept_errors)),
    directive("forktail_ignore_headers", kMore, ngx_conf_set_bitmask_slot, FIELD(ignore_headers),
              ngx_http_upstream_ignore_headers_masks),
    directive("forktail_hide_header", kTake1, ngx_conf_set_str_array_slot, FIELD(hide_headers)),
    directive("forktail_pass_header", kTake1, ngx_conf_set_str_array_slot, FIELD(pass_headers)),

    directive("forktail_bind", kAnywhere | NGX_CONF_TAKE12, ngx_http_upstream_bind_set_slot,
              FIELD(local)),
    directive("forktail_force_ranges", kFlag, ngx_conf_set_flag_slot, FIELD(force_ranges)),
#if defined(FORKTAIL_SOCKET_BUFFERS)
    directive("forktail_socket_rcvbuf", kTake1, ngx_conf_set_size_slot, FIELD(socket_rcvbuf)),
    directive("forktail_socket_sndbuf", kTake1, ngx_conf_set_size_slot, FIELD(socket_sndbuf)),
#endif
    directive("forktail_socket_keepalive", kFlag, ngx_conf_set_flag_slot, FIELD(socket_keepalive)),

#if defined(FORKTAIL_TLS)
    directive("forktail_ssl_session_reuse", kFlag, ngx_conf_set_flag_slot,
              FIELD(ssl_session_reuse)),
    directive("forktail_ssl_protocols", kMore, ngx_conf_set_bitmask_slot,
              offsetof(PassLocConf, tls.protocols), g_ssl_protocols),
    directive("forktail_ssl_ciphers", kTake1, ngx_conf_set_str_slot,
              offsetof(PassLocConf, tls.ciphers)),
    directive("forktail_ssl_name", kTake1, ngx_http_set_complex_value_slot, FIELD(ssl_name)),
    directive("forktail_ssl_server_name", kFlag, ngx_conf_set_flag_slot, FIELD(ssl_server_name)),
    directive("forktail_ssl_verify", kFlag, ngx_conf_set_flag_slot, FIELD(ssl_verify)),
    directive("forktail_ssl_verify_depth", kTake1, ngx_conf_set_num_slot,
              offsetof(PassLocConf, tls.verify_depth)),
    directive("forktail_ssl_trusted_certificate", kTake1, ngx_conf_set_str_slot,
              offsetof(PassLocConf, tls.trusted_certificate)),
    directive("forktail_ssl_crl", kTake1, ngx_conf_set_str_slot, offsetof(PassLocConf, tls.crl)),
    directive("forktail_ssl_certificate", kTake1, ngx_http_set_complex_value_zero_slot,
              FIELD(ssl_certificate)),
    directive("forktail_ssl_certificate_key", kTake1, ngx_http_set_complex_value_zero_slot,
              FIELD(ssl_certificate_key)),
#if defined(FORKTAIL_CERTIFICATE_CACHE)
    directive("forktail_ssl_certificate_cache", kAnywhere | NGX_CONF_TAKE123,
              ngx_http_forktail_pass_set_certificate_cache),
#endif
    directive("forktail_ssl_password_file", kTake1, ngx_http_forktail_pass_set_password_file),
    directive("forktail_ssl_conf_command", kAnywhere | NGX_CONF_TAKE2, ngx_conf_set_keyval_slot,
              offsetof(PassLocConf, tls.conf_commands)),
#endif

    ngx_null_command};

#undef FIELD

void* ngx_http_forktail_pass_create_main_conf(ngx_conf_t* cf) {
  return ngx_pcalloc(cf->pool, sizeof(PassMainConf));
}

void* ngx_http_forktail_pass_create_srv_conf(ngx_conf_t* cf) {
  return ngx_pcalloc(cf->pool, sizeof(PassSrvConf));
}

// When nginx has the upstream blocks ready, and before locations are merged.
char* ngx_http_forktail_pass_init_main_conf(ngx_conf_t* cf, void* conf) {
  static_cast<PassMainConf*>(conf)->keepalive =
      find_module(cf->cycle, "ngx_http_upstream_keepalive_module");
  guard_peers(cf);
  return NGX_CONF_OK;
}

ngx_http_module_t g_context = {nullptr,
                               nullptr,
                               ngx_http_forktail_pass_create_main_conf,
                               ngx_http_forktail_pass_init_main_conf,
                               ngx_http_forktail_pass_create_srv_conf,
                               nullptr,
                               ngx_http_forktail_pass_create_loc_conf,
                               ngx_http_forktail_pass_merge_loc_conf};

}  // namespace

bool keeps_connections(const PassMainConf& conf, const ngx_http_upstream_srv_conf_t* upstream) {
  if (conf.keepalive == nullptr || upstream == nullptr || upstream->srv_conf == nullptr) {
    return false;
  }
  // The `keepalive` directive has no interface but its own configuration, which begins, in all
  // versions of nginx, with how many connections it keeps.
  const void* keepalive = upstream->srv_conf[conf.keepalive->ctx_index];
  return *static_cast<const ngx_uint_t*>(keepalive) != 0;
}

}  // namespace forktail

extern "C" {
ngx_module_t ngx_http_forktail_pass_module = {NGX_MODULE_V1,
                                              &forktail::g_context,
                                              forktail::g_directives,
                                              NGX_HTTP_MODULE,
                                              nullptr,
                                              nullptr,
                                              nullptr,
                                              nullptr,
                                              nullptr,
                                              nullptr,
                                              nullptr,
                                              NGX_MODULE_V1_PADDING};
}
