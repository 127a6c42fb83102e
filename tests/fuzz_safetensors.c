/* libFuzzer target: any bytes as the header of a safetensors file with 64 bytes of data. */
#include <stdint.h>
#include <stdlib.h>

#include "engine/formats/safetensors.h"

enum { DATA_BYTES = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    bn_error err = {0};
    bn_st_reader *reader = NULL;
    if (bn_st_parse(&reader, (const char *)bytes, size, DATA_BYTES, &err) != BN_OK) {
        if (err.status == BN_OK || err.text[0] == '\0') abort(); /* refused without a reason */
        return 0;
    }
    uint64_t at = 0;
    for (size_t i = 0; i < bn_st_count(reader); i++) {
        const bn_st_tensor *tensor = bn_st_at(reader, i);
        if (tensor->begin != at || bn_st_find(reader, tensor->name) == NULL) abort();
        at = tensor->end;
    }
    if (at != DATA_BYTES) abort(); /* believed, though the data is not covered */
    (void)bn_st_meta_of(reader, "crc32");
    bn_st_close(reader);
    return 0;
}
