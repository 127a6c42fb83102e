/* config_files.h - the knobs that name files, made absolute: a run finds them from anywhere. */
#ifndef BN_ENGINE_CONFIG_FILES_H
#define BN_ENGINE_CONFIG_FILES_H

#include "engine/config.h"

/* Makes every part of data.path and data.tokenizer absolute. A part is looked for from the working
 * folder, then in `beside` (the folder of the file that named it; NULL: none). "synth" and "bytes"
 * are built in and stay. BN_EINVAL names the knob and the file that is nowhere. */
BN_MUST_CHECK bn_status bn_config_find_files(bn_config *config, const char *beside, bn_error *err);

#endif
