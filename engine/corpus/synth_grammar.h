/* synth_grammar.h - the grammar of the built-in corpus, as tables.
 *
 * A document is of one kind; a kind is a row of scenes; a scene is a paragraph of min ... max
 * sentences, each drawn from those of the scene's templates (at least max, at most 64) that the
 * paragraph has not used. A template is text with slots in braces:
 *
 *   {thing} {thing.s} {do} {do.s} {do.d} {do.ing}   a word in one of its forms
 *   {a thing}   with "a" or "an" in front           {^thing}   with a capital
 *
 * Three rules make every derivation readable from the text, so that the probability of the text is
 * exactly the product of the choices (test_synth.c checks the first two):
 *   1. no two templates of the grammar can give the same words;
 *   2. every slot gives one word, no list holds a word twice, and a sentence ends at the first word
 *      that ends in '.' or in a mark and a quote, so words, slots and sentences are told apart;
 *   3. what a document remembers (its hero, its prop) is drawn when it is first written, or in the
 *      same sentence; facts follow only words that have been written before.
 */
#ifndef BN_ENGINE_CORPUS_SYNTH_GRAMMAR_H
#define BN_ENGINE_CORPUS_SYNTH_GRAMMAR_H

typedef enum bn_synth_list {
    BN_LIST_BEASTS,
    BN_LIST_ROLES,
    BN_LIST_THINGS,
    BN_LIST_FOODS,
    BN_LIST_PLACES,
    BN_LIST_MATERIALS,
    BN_LIST_QUALITIES,
    BN_LIST_MOODS,
    BN_LIST_COLOURS,
    BN_LIST_TVERBS,
    BN_LIST_IVERBS,
    BN_LIST_ADVERBS,
    BN_LIST_NAMES, /* the first half are women's */
    BN_LIST_TOWNS,
    BN_LIST_SUBJECTS,
    BN_LIST_VIRTUES,
    BN_LIST_WEATHERS,
    BN_LIST_PARTS,
    BN_LIST_SEASONS,
    BN_LIST_REGIONS,
    BN_LIST_SPICES,
    BN_LIST_CROWDS,
    BN_LIST_SHE,
    BN_LIST_HER_OBJECT,
    BN_LIST_HER,
    BN_LIST_DAYS,
    BN_LIST_COUNT,
} bn_synth_list;

/* "word|word|..."; forms of a word are parted by spaces. */
extern const char *const BN_SYNTH_LISTS[BN_LIST_COUNT];

typedef enum bn_slot_kind {
    BN_SLOT_OPEN,        /* drawn anew each time */
    BN_SLOT_DOCUMENT,    /* drawn once a document, not equal to another of its list */
    BN_SLOT_SENTENCE,    /* drawn once a sentence, likewise */
    BN_SLOT_NUMBER,      /* drawn once a sentence, min ... max, all alike */
    BN_SLOT_GENDER,      /* follows the name in `of`: list[0] for women, list[1] for men */
    BN_SLOT_FACT,        /* a word of the list that belongs to the word in `of`, always the same */
    BN_SLOT_FACT_NUMBER, /* likewise a number min ... max; of two words when min is negative */
    BN_SLOT_DAY,         /* Monday, Tuesday, ... through the document */
    BN_SLOT_SUM,         /* arithmetic with {n1} and {n2}, or {big} and {n2} */
    BN_SLOT_PRODUCT,
    BN_SLOT_DIFFERENCE,
    BN_SLOT_DOUBLE,
    BN_SLOT_LARGER,
    BN_SLOT_NEXT, /* {n1} + min */
} bn_slot_kind;

typedef struct bn_slot {
    const char *name;
    bn_slot_kind kind;
    bn_synth_list list;
    const char *of; /* name of another slot, NULL: none */
    int min, max;
} bn_slot;

typedef struct bn_scene {
    const char *const *templates; /* NULL ends */
    int min, max;                 /* sentences */
} bn_scene;

enum { BN_SCENES_MAX = 8, BN_SLOTS_MAX = 96 };

typedef struct bn_document_kind {
    const char *name;
    int weight;
    bn_scene scenes[BN_SCENES_MAX]; /* templates NULL ends */
} bn_document_kind;

const bn_slot *bn_synth_slots(int *count);
const bn_document_kind *bn_synth_kinds(int *count);

#endif
