/* tail_file.h - a file that grows behind a mark kept elsewhere. What lies behind the mark was
 * written by a process that did not live to say so: it is cut off, and written again. */
#ifndef BN_REPORTERS_TAIL_FILE_H
#define BN_REPORTERS_TAIL_FILE_H

#include <stdint.h>

#include "engine/base/text.h"

/* Cuts path (made with its folders when missing) to mark bytes, adds the text and syncs it.
 * BN_ESTALE: the file is shorter than its mark, so somebody has taken it away; BN_EIO. */
BN_MUST_CHECK bn_status bn_tail_file_add(const char *path, int64_t mark_bytes, const bn_text *text,
                                         bn_error *err);

#endif
