#include "id_trust.h"

#include "conf_args.h"

namespace forktail {
namespace {

constexpr ngx_uint_t kFamilies[] = {AF_INET, AF_INET6, AF_UNIX};

char* push(ngx_array_t* cidrs, const ngx_cidr_t& cidr) {
  auto* slot = static_cast<ngx_cidr_t*>(ngx_array_push(cidrs));
  if (slot == nullptr) {
    return kConfError;
  }
  *slot = cidr;
  return NGX_CONF_OK;
}

char* push_everybody(ngx_array_t* cidrs) {
  for (const ngx_uint_t family : kFamilies) {
    ngx_cidr_t cidr = {};  // a mask of zeros: every address of the family
    cidr.family = family;
    if (push(cidrs, cidr) != NGX_CONF_OK) {
      return kConfError;
    }
  }
  return NGX_CONF_OK;
}

char* push_peer(ngx_conf_t* cf, ngx_array_t* cidrs, ngx_str_t* value) {
  ngx_cidr_t cidr = {};
  if (view(*value) == "unix:") {
    cidr.family = AF_UNIX;
    return push(cidrs, cidr);
  }
  switch (ngx_ptocidr(value, &cidr)) {
    case NGX_OK:
      break;
    case NGX_DONE:
      ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                         "\"forktail_trust\": low address bits of \"%V\" are meaningless", value);
      break;
    default:
      return refuse_argument(cf, *value,
                             "it must be an address or a CIDR such as 10.0.0.0/8 or fd00::/8, "
                             "\"unix:\", \"all\" or \"none\"");
  }
  return push(cidrs, cidr);
}

}  // namespace

bool trusts(const Trust& trust, const ngx_connection_t* c) {
  return trust.cidrs != nullptr && ngx_cidr_match(c->sockaddr, trust.cidrs) == NGX_OK;
}

char* add_trust(ngx_conf_t* cf, Trust* trust) {
  bool first = trust->cidrs == nullptr;
  if (first) {
    trust->cidrs = ngx_array_create(cf->pool, 4, sizeof(ngx_cidr_t));
    if (trust->cidrs == nullptr) {
      return kConfError;
    }
  }
  auto* values = static_cast<ngx_str_t*>(cf->args->elts);
  for (ngx_uint_t i = 1; i < cf->args->nelts; ++i, first = false) {
    const bool all = view(values[i]) == "all";
    const bool alone = all || view(values[i]) == "none";
    if (trust->alone || (alone && !first)) {
      return refuse_argument(cf, values[i], "\"all\" and \"none\" must stand alone");
    }
    trust->alone = alone;
    char* result = NGX_CONF_OK;
    if (all) {
      result = push_everybody(trust->cidrs);
    } else if (!alone) {
      result = push_peer(cf, trust->cidrs, &values[i]);
    }
    if (result != NGX_CONF_OK) {
      return result;
    }
  }
  return NGX_CONF_OK;
}

}  // namespace forktail
