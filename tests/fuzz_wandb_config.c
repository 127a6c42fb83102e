/* fuzz_wandb_config.c - any bytes as a flat configuration: refused, or nested so that it parses, no
 * name stands twice in one object, and no value is lost. */
#include <assert.h>
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "reporters/wandb_body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void count_value(void *self, const char *quoted_name, const char *value_json)
{
    assert(quoted_name && value_json);
    json_t *value = json_loads(value_json, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
    assert(value);
    json_decref(value);
    ++*(size_t *)self;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *flat = malloc(size + 1);
    if (!flat) return 0;
    if (size) memcpy(flat, data, size);
    flat[size] = '\0';
    bn_error err = {0};
    bn_text out = {0};
    size_t values = 0;
    bn_wandb_config config = {
        .flat_json = flat, .objective = "", .writer = "k", .environment_json = "{}"};
    if (bn_wandb_config_json(&out, &config, &err) == BN_OK) {
        json_t *nested = json_loads(out.data, JSON_REJECT_DUPLICATES, NULL);
        assert(nested);
        assert(bn_wandb_config_each(flat, count_value, &values, &err) == BN_OK);
        assert(json_object_size(nested) == values + 1); /* and "_wandb" */
        json_decref(nested);
    }
    bn_text_release(&out);
    free(flat);
    return 0;
}
