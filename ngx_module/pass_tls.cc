#include "conf_args.h"
#include "pass.h"

#if defined(FORKTAIL_TLS)

namespace forktail {
namespace {

ngx_int_t refuse(ngx_conf_t* cf, const char* given, const char* missing) {
  ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                     "\"%s\" is given for \"forktail_pass\" without \"%s\": add the latter", given,
                     missing);
  return NGX_ERROR;
}

bool is_static(const ngx_http_complex_value_t* value) { return value->lengths == nullptr; }

ngx_int_t load_certificate(ngx_conf_t* cf, ngx_http_upstream_conf_t* upstream) {
  if (upstream->ssl_certificate == nullptr || upstream->ssl_certificate->value.len == 0) {
    return NGX_OK;
  }
  if (upstream->ssl_certificate_key == nullptr) {
    return refuse(cf, "forktail_ssl_certificate", "forktail_ssl_certificate_key");
  }
  if (is_static(upstream->ssl_certificate) && is_static(upstream->ssl_certificate_key)) {
    return ngx_ssl_certificate(cf, upstream->ssl, &upstream->ssl_certificate->value,
                               &upstream->ssl_certificate_key->value, upstream->ssl_passwords);
  }
  // The files are read when a connection is made: nginx forgets the passwords after reading its
  // configuration unless asked to keep them.
  upstream->ssl_passwords = ngx_ssl_preserve_passwords(cf, upstream->ssl_passwords);
  return upstream->ssl_passwords == nullptr ? NGX_ERROR : NGX_OK;
}

ngx_int_t load_trust(ngx_conf_t* cf, PassLocConf* conf) {
  if (!conf->upstream.ssl_verify) {
    return NGX_OK;
  }
  if (conf->tls.trusted_certificate.len == 0) {
    return refuse(cf, "forktail_ssl_verify on", "forktail_ssl_trusted_certificate");
  }
  if (ngx_ssl_trusted_certificate(cf, conf->upstream.ssl, &conf->tls.trusted_certificate,
                                  static_cast<ngx_int_t>(conf->tls.verify_depth)) != NGX_OK) {
    return NGX_ERROR;
  }
  return ngx_ssl_crl(cf, conf->upstream.ssl, &conf->tls.crl);
}

ngx_int_t create_ssl(ngx_conf_t* cf, PassLocConf* conf) {
  auto* ssl = static_cast<ngx_ssl_t*>(ngx_pcalloc(cf->pool, sizeof(ngx_ssl_t)));
  if (ssl == nullptr) {
    return NGX_ERROR;
  }
  conf->upstream.ssl = ssl;
  ssl->log = cf->log;
  if (ngx_ssl_create(ssl, conf->tls.protocols, nullptr) != NGX_OK) {
    return NGX_ERROR;
  }
  ngx_pool_cleanup_t* cleanup = ngx_pool_cleanup_add(cf->pool, 0);
  if (cleanup == nullptr) {
    ngx_ssl_cleanup_ctx(ssl);
    return NGX_ERROR;
  }
  cleanup->handler = ngx_ssl_cleanup_ctx;
  cleanup->data = ssl;
  if (ngx_ssl_ciphers(cf, ssl, &conf->tls.ciphers, 0) != NGX_OK ||
      load_certificate(cf, &conf->upstream) != NGX_OK || load_trust(cf, conf) != NGX_OK) {
    return NGX_ERROR;
  }
  const auto reuse = static_cast<ngx_uint_t>(conf->upstream.ssl_session_reuse);
  if (ngx_ssl_client_session_cache(cf, ssl, reuse) != NGX_OK) {
    return NGX_ERROR;
  }
  return ngx_ssl_conf_commands(cf, ssl, conf->tls.conf_commands);
}

template <typename T>
void unset(T** pointer) {
  *pointer = static_cast<T*>(NGX_CONF_UNSET_PTR);
}

}  // namespace

void init_tls(PassLocConf* conf) {
#if defined(FORKTAIL_CERTIFICATE_CACHE)
  unset(&conf->upstream.ssl_certificate_cache);
#endif
  conf->upstream.ssl_session_reuse = NGX_CONF_UNSET;
  conf->upstream.ssl_server_name = NGX_CONF_UNSET;
  conf->upstream.ssl_verify = NGX_CONF_UNSET;
  unset(&conf->upstream.ssl_name);
  unset(&conf->upstream.ssl_certificate);
  unset(&conf->upstream.ssl_certificate_key);
  unset(&conf->upstream.ssl_passwords);
  unset(&conf->tls.conf_commands);
  conf->tls.verify_depth = NGX_CONF_UNSET_UINT;
}

ngx_int_t merge_tls(ngx_conf_t* cf, const PassLocConf& prev, PassLocConf* conf) {
  ngx_http_upstream_conf_t& upstream = conf->upstream;
  ngx_conf_merge_value(upstream.ssl_session_reuse, prev.upstream.ssl_session_reuse, 1);
  ngx_conf_merge_value(upstream.ssl_server_name, prev.upstream.ssl_server_name, 0);
  ngx_conf_merge_value(upstream.ssl_verify, prev.upstream.ssl_verify, 0);
  ngx_conf_merge_ptr_value(upstream.ssl_name, prev.upstream.ssl_name, nullptr);
  ngx_conf_merge_ptr_value(upstream.ssl_certificate, prev.upstream.ssl_certificate, nullptr);
  ngx_conf_merge_ptr_value(upstream.ssl_certificate_key, prev.upstream.ssl_certificate_key,
                           nullptr);
#if defined(FORKTAIL_CERTIFICATE_CACHE)
  ngx_conf_merge_ptr_value(upstream.ssl_certificate_cache, prev.upstream.ssl_certificate_cache,
                           nullptr);
#endif
  ngx_conf_merge_ptr_value(upstream.ssl_passwords, prev.upstream.ssl_passwords, nullptr);

  TlsConf& tls = conf->tls;
  ngx_conf_merge_bitmask_value(tls.protocols, prev.tls.protocols,
                               NGX_CONF_BITMASK_SET | NGX_SSL_TLSv1_2 | NGX_SSL_TLSv1_3);
  ngx_conf_merge_str_value(tls.ciphers, prev.tls.ciphers, "DEFAULT");
  ngx_conf_merge_uint_value(tls.verify_depth, prev.tls.verify_depth, 1);
  ngx_conf_merge_str_value(tls.trusted_certificate, prev.tls.trusted_certificate, "");
  ngx_conf_merge_str_value(tls.crl, prev.tls.crl, "");
  ngx_conf_merge_ptr_value(tls.conf_commands, prev.tls.conf_commands, nullptr);
  return tls.wanted ? create_ssl(cf, conf) : NGX_OK;
}

#if defined(FORKTAIL_CERTIFICATE_CACHE)
char* ngx_http_forktail_pass_set_certificate_cache(ngx_conf_t* cf, ngx_command_t*, void* pass) {
  ngx_ssl_cache_t*& cache = static_cast<PassLocConf*>(pass)->upstream.ssl_certificate_cache;
  if (cache != NGX_CONF_UNSET_PTR) {
    return kIsDuplicate;
  }
  if (cf->args->nelts == 2 && view(argument(cf, 1)) == "off") {
    cache = nullptr;
    return NGX_CONF_OK;
  }
  ngx_int_t most = 0;
  time_t inactive = 10;
  time_t valid = 60;
  for (ngx_uint_t i = 1; i < cf->args->nelts; ++i) {
    ngx_str_t text;
    if (take_key(argument(cf, i), "max=", &text)) {
      most = ngx_atoi(text.data, text.len);
      if (most <= 0) {
        return refuse_argument(cf, argument(cf, i),
                               "max is how many certificates to keep, above 0");
      }
    } else if (take_key(argument(cf, i), "inactive=", &text)) {
      inactive = ngx_parse_time(&text, 1);
    } else if (take_key(argument(cf, i), "valid=", &text)) {
      valid = ngx_parse_time(&text, 1);
    } else {
      return refuse_argument(cf, argument(cf, i),
                             "it knows off, or max=N, inactive=TIME and valid=TIME");
    }
    if (inactive == NGX_ERROR || valid == NGX_ERROR) {
      return refuse_argument(cf, argument(cf, i), "a time is such as 10s or 5m");
    }
  }
  if (most == 0) {
    return refuse_argument(cf, argument(cf, 1), "say how many certificates to keep, max=N");
  }
  cache = ngx_ssl_cache_init(cf->pool, static_cast<ngx_uint_t>(most), valid, inactive);
  return cache == nullptr ? kConfError : NGX_CONF_OK;
}
#endif

char* ngx_http_forktail_pass_set_password_file(ngx_conf_t* cf, ngx_command_t*, void* pass) {
  ngx_http_upstream_conf_t& upstream = static_cast<PassLocConf*>(pass)->upstream;
  if (upstream.ssl_passwords != NGX_CONF_UNSET_PTR) {
    return kIsDuplicate;
  }
  upstream.ssl_passwords = ngx_ssl_read_password_file(cf, &argument(cf, 1));
  return upstream.ssl_passwords == nullptr ? kConfError : NGX_CONF_OK;
}

}  // namespace forktail

#else

namespace forktail {

void init_tls(PassLocConf*) {}

ngx_int_t merge_tls(ngx_conf_t* cf, const PassLocConf&, PassLocConf* conf) {
  if (!conf->tls.wanted || conf->target != nullptr) {
    return NGX_OK;
  }
  ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                     "\"forktail_pass\" can not speak TLS: this nginx was built without "
                     "--with-http_ssl_module");
  return NGX_ERROR;
}

}  // namespace forktail

#endif
