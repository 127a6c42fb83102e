/* site_assets.h - the page itself, embedded at build time: index.html, app.js, style.css. */
#ifndef BN_REPORTERS_SITE_ASSETS_H
#define BN_REPORTERS_SITE_ASSETS_H

#include <stddef.h>

typedef struct bn_site_asset {
    const char *name; /* "index.html" */
    const char *type; /* "text/html; charset=utf-8" */
    const unsigned char *data;
    size_t size_bytes;
} bn_site_asset;

const bn_site_asset *bn_site_assets(size_t *count);

#endif
