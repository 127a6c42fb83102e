/* validation.h - the loss on text that is not trained on. */
#ifndef BN_ENGINE_VALIDATION_H
#define BN_ENGINE_VALIDATION_H

#include "engine/corpus/dataset.h"
#include "engine/parallel.h"

/* All borrowed. */
typedef struct bn_validation {
    const bn_config *config; /* of all ranks together */
    bn_dataset *data;
    bn_model *model;
    bn_parallel *parallel;
    int32_t *tokens, *targets; /* [rows of the model]: room for a batch */
} bn_validation;

/* Mean loss a token [nats] over windows spread evenly over the validation part, the same ones every
 * time, shared out over the ranks. Waits. BN_EIO: a rank is lost. */
BN_MUST_CHECK bn_status bn_validate(const bn_validation *what, double *loss, bn_error *err);

#endif
