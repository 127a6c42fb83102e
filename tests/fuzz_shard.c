/* fuzz_shard.c - any bytes as a token shard: refused with a reason, or readable to the last token.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "engine/corpus/shards.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bn_error err = {0};
    bn_shard shard;
    if (bn_shard_parse(&shard, data, size, "input", &err) != BN_OK) {
        assert(err.status == BN_EINVAL && err.text[0] != '\0');
        return 0;
    }
    int32_t largest = -1;
    for (int64_t at = 0; at < shard.count; at++) {
        int32_t id;
        bn_shard_read(&shard, at, &id, 1);
        assert(id >= 0);
        if (id > largest) largest = id;
    }
    assert(largest == bn_shard_max_id(&shard));
    bn_shard_release(&shard);
    return 0;
}
