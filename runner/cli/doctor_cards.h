/* doctor_cards.h - what bnexp doctor knows of GPUs: which there are, and why one cannot be used. */
#ifndef BN_RUNNER_CLI_DOCTOR_CARDS_H
#define BN_RUNNER_CLI_DOCTOR_CARDS_H

#include <stdbool.h>

#include "engine/base/text.h"

enum { BN_DOCTOR_CARDS_MAX = 64, BN_DOCTOR_TEXT_MAX = 96 };

typedef struct bn_doctor_card {
    char name[BN_DOCTOR_TEXT_MAX];
    char uuid[BN_DOCTOR_TEXT_MAX];   /* "": only CUDA was asked */
    int major, minor;                /* compute capability; 0.0: not told */
    double memory_bytes, free_bytes; /* NaN: not told */
    bool usable;
    char why[BN_DOCTOR_TEXT_MAX]; /* it is not usable */
} bn_doctor_card;

typedef struct bn_doctor_cards {
    char driver[BN_DOCTOR_TEXT_MAX]; /* "580.65.06"; "": none, or it does not say */
    int cuda;      /* the newest that the driver runs, 13000 for 13.0; 0: unknown */
    bool usable;   /* `device = "cuda"` would train */
    bool trouble;  /* there is a card or a driver, and it cannot be used */
    char why[240]; /* it would not */
    bn_doctor_card cards[BN_DOCTOR_CARDS_MAX];
    int count;
} bn_doctor_cards;

/* Asks the driver (NVML) and the CUDA plug-in. */
void bn_doctor_cards_find(bn_doctor_cards *out);

/* "usable: 2 cards; driver 580.65.06 (CUDA 13.0)", or why not. */
void bn_doctor_cards_say(const bn_doctor_cards *found, bn_text *out);

/* "NVIDIA H100 80GB HBM3, sm_90, 79.1 of 80.0 GB free" */
void bn_doctor_card_say(const bn_doctor_card *card, bn_text *out);

/* {"usable":...,"why":...,"driver":...,"cuda":...,"cards":[...]} */
void bn_doctor_cards_json(const bn_doctor_cards *found, bn_json *json);

#endif
