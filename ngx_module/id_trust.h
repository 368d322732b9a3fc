// Whose inbound ids are taken over: the peers of `forktail_trust`.
//
// What counts is the peer of the socket. It is asked before the realip module replaces the
// connection's address by what a header said, so a client can not talk itself into being trusted.
#pragma once

#include "ngx_http_forktail.h"

namespace forktail {

struct Trust {
  ngx_array_t* cidrs;  // of ngx_cidr_t; null: not configured here; empty: `none`
  bool alone;          // `all` or `none` was given: nothing may stand beside it
};

bool trusts(const Trust& trust, const ngx_connection_t* c);

// Takes the arguments of one `forktail_trust`; repeated directives add up.
char* add_trust(ngx_conf_t* cf, Trust* trust);

}  // namespace forktail
