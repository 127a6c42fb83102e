#include "engine/corpus/synth_grammar.h"

#include <stddef.h>

/* clang-format off: a table reads by its columns */
#define OPEN(name, list)                                                                           \
    {                                                                                              \
        name, BN_SLOT_OPEN, list, NULL, 0, 0                                                       \
    }
#define DOCUMENT(name, list)                                                                       \
    {                                                                                              \
        name, BN_SLOT_DOCUMENT, list, NULL, 0, 0                                                   \
    }
#define SENTENCE(name, list)                                                                       \
    {                                                                                              \
        name, BN_SLOT_SENTENCE, list, NULL, 0, 0                                                   \
    }
#define GENDER(name, list, of)                                                                     \
    {                                                                                              \
        name, BN_SLOT_GENDER, list, of, 0, 0                                                       \
    }
#define FACT(name, list, of)                                                                       \
    {                                                                                              \
        name, BN_SLOT_FACT, list, of, 0, 0                                                         \
    }
#define NUMBER(name, min, max)                                                                     \
    {                                                                                              \
        name, BN_SLOT_NUMBER, BN_LIST_COUNT, NULL, min, max                                        \
    }
#define COUNT(name, of, min, max)                                                                  \
    {                                                                                              \
        name, BN_SLOT_FACT_NUMBER, BN_LIST_COUNT, of, min, max                                     \
    }
#define SUMS(name, kind, step)                                                                     \
    {                                                                                              \
        name, kind, BN_LIST_COUNT, NULL, step, 0                                                   \
    }

static const bn_slot SLOTS[] = {
    OPEN("quality", BN_LIST_QUALITIES),
    OPEN("mood", BN_LIST_MOODS),
    OPEN("colour", BN_LIST_COLOURS),
    OPEN("do", BN_LIST_TVERBS),
    OPEN("go", BN_LIST_IVERBS),
    OPEN("how", BN_LIST_ADVERBS),
    OPEN("thing", BN_LIST_THINGS),
    OPEN("food", BN_LIST_FOODS),
    OPEN("place", BN_LIST_PLACES),
    OPEN("role", BN_LIST_ROLES),
    OPEN("beast", BN_LIST_BEASTS),
    OPEN("crowd", BN_LIST_CROWDS),
    OPEN("virtue", BN_LIST_VIRTUES),
    OPEN("weather", BN_LIST_WEATHERS),
    OPEN("spice", BN_LIST_SPICES),
    OPEN("material", BN_LIST_MATERIALS),
    OPEN("season", BN_LIST_SEASONS),
    OPEN("region", BN_LIST_REGIONS),

    DOCUMENT("hero", BN_LIST_NAMES),
    DOCUMENT("friend", BN_LIST_NAMES),
    DOCUMENT("rival", BN_LIST_NAMES),
    DOCUMENT("town", BN_LIST_TOWNS),
    DOCUMENT("prop", BN_LIST_THINGS),
    DOCUMENT("helper", BN_LIST_BEASTS),
    DOCUMENT("job", BN_LIST_ROLES),
    DOCUMENT("spot", BN_LIST_PLACES),
    DOCUMENT("learn", BN_LIST_SUBJECTS),
    DOCUMENT("kind", BN_LIST_BEASTS),
    DOCUMENT("city", BN_LIST_TOWNS),
    DOCUMENT("stuff", BN_LIST_MATERIALS),
    DOCUMENT("dish", BN_LIST_FOODS),
    DOCUMENT("vessel", BN_LIST_THINGS),

    SENTENCE("name", BN_LIST_NAMES),
    SENTENCE("name2", BN_LIST_NAMES),
    SENTENCE("pal", BN_LIST_BEASTS),
    SENTENCE("other", BN_LIST_BEASTS),
    SENTENCE("far", BN_LIST_TOWNS),
    SENTENCE("base", BN_LIST_MATERIALS),
    SENTENCE("goods", BN_LIST_THINGS),
    SENTENCE("meal", BN_LIST_FOODS),

    GENDER("he", BN_LIST_SHE, "hero"),
    GENDER("him", BN_LIST_HER_OBJECT, "hero"),
    GENDER("his", BN_LIST_HER, "hero"),

    FACT("town_region", BN_LIST_REGIONS, "town"),
    FACT("kind_place", BN_LIST_PLACES, "kind"),
    FACT("kind_food", BN_LIST_FOODS, "kind"),
    FACT("kind_treat", BN_LIST_FOODS, "kind"),
    FACT("kind_colour", BN_LIST_COLOURS, "kind"),
    FACT("kind_part", BN_LIST_PARTS, "kind"),
    FACT("kind_quality", BN_LIST_QUALITIES, "kind"),
    FACT("kind_mood", BN_LIST_MOODS, "kind"),
    FACT("kind_season", BN_LIST_SEASONS, "kind"),
    FACT("kind_verb", BN_LIST_TVERBS, "kind"),
    FACT("other_place", BN_LIST_PLACES, "other"),
    FACT("other_food", BN_LIST_FOODS, "other"),
    FACT("city_region", BN_LIST_REGIONS, "city"),
    FACT("city_place", BN_LIST_PLACES, "city"),
    FACT("city_goods", BN_LIST_THINGS, "city"),
    FACT("city_stuff", BN_LIST_MATERIALS, "city"),
    FACT("city_season", BN_LIST_SEASONS, "city"),
    FACT("city_weather", BN_LIST_WEATHERS, "city"),
    FACT("city_role", BN_LIST_ROLES, "city"),
    FACT("city_virtue", BN_LIST_VIRTUES, "city"),
    FACT("city_food", BN_LIST_FOODS, "city"),
    FACT("far_goods", BN_LIST_THINGS, "far"),
    FACT("stuff_place", BN_LIST_PLACES, "stuff"),
    FACT("stuff_colour", BN_LIST_COLOURS, "stuff"),
    FACT("stuff_role", BN_LIST_ROLES, "stuff"),
    FACT("stuff_goods", BN_LIST_THINGS, "stuff"),
    FACT("stuff_food", BN_LIST_FOODS, "stuff"),
    FACT("stuff_quality", BN_LIST_QUALITIES, "stuff"),
    FACT("base_place", BN_LIST_PLACES, "base"),
    FACT("base_quality", BN_LIST_QUALITIES, "base"),

    COUNT("kind_weight", "kind", 2, 99),
    COUNT("kind_years", "kind", 3, 40),
    COUNT("city_people", "city", 2, 90),
    COUNT("stuff_price", "stuff", 2, 30),
    COUNT("miles", "far", -1, 90),

    NUMBER("n1", 2, 12),
    NUMBER("n2", 2, 9),
    NUMBER("big", 13, 60),
    NUMBER("page", 1, 99),
    SUMS("sum", BN_SLOT_SUM, 0),
    SUMS("product", BN_SLOT_PRODUCT, 0),
    SUMS("difference", BN_SLOT_DIFFERENCE, 0),
    SUMS("double", BN_SLOT_DOUBLE, 0),
    SUMS("larger", BN_SLOT_LARGER, 0),
    SUMS("next", BN_SLOT_NEXT, 1),
    SUMS("second", BN_SLOT_NEXT, 2),
    SUMS("third", BN_SLOT_NEXT, 3),
    {"day", BN_SLOT_DAY, BN_LIST_DAYS, NULL, 0, 0},
};
/* clang-format on */

static const char *const STORY_TITLE[] = {
    "The {quality} {prop}",        "{hero} and the {helper}",
    "{hero} and the lost {prop}",  "The {job} of {town}",
    "How {hero} saved the {prop}", "The {helper} that could {go}",
    "The {mood} {job} of {town}",  NULL,
};
static const char *const STORY_OPENING[] = {
    "Once upon a time there was {a mood} {job} called {hero}, who lived in {town}.",
    "Long ago, in the town of {town}, there lived {a job} whose name was {hero}.",
    "{hero} was {a mood} {job} from {town}.",
    "In {season}, when the days were {weather}, {a job} called {hero} came to {town}.",
    "Everybody in {town} knew {hero}, the {mood} {job}.",
    "There was once {a job} in {town}, and {his} name was {hero}.",
    "This is the story of {hero} from {town}, who was {a job} and very {mood}.",
    NULL,
};
static const char *const STORY_SETTING[] = {
    "{hero} had {a quality} {prop}, and {he} kept it in the {spot}.",
    "Every morning {he} went to the {spot} to {do} the {thing.s}.",
    "{^he} lived near the {spot} with {friend}, who was very {mood}.",
    "The best friend of {hero} was {friend}, {a mood} {role}.",
    "{hero} loved {food.s} more than anything else.",
    "In the evening {he} would {go} by the {spot} and {go} until dark.",
    "{^he} wanted to learn {learn}, because {virtue} was worth more than {material}.",
    "People said that {hero} was the most {mood} {job} in {town_region}.",
    "The {job} had a tame {helper}, and the {helper} was always {mood}.",
    "{hero} used to {do} {colour} {thing.s} for the {crowd} of {town}.",
    "On the wall of {his} room hung {a colour} {thing}, which nobody was allowed to {do}.",
    NULL,
};
static const char *const STORY_TROUBLE[] = {
    "One {weather} day the {prop} was gone.",
    "One day {rival}, {a mood} {role}, stole the {prop}.",
    "But then {a quality} {thing} fell into the {spot}.",
    "{hero} looked in the {place}, but there was only {a quality} {thing}.",
    "{friend} {do.d} the {thing}, but it was too {quality}.",
    "{hero} said {how}, \"I have lost my {prop}!\"",
    "{friend} asked, \"Who has seen the {prop}?\"",
    "{rival} shouted {how}, \"The {prop} is mine!\"",
    "{hero} was so {mood} that {he} could not {go}.",
    "The {helper} {go.d} away, and {hero} began to {go}.",
    "Nobody in {town} could {do} the {quality} {prop}.",
    "If {he} did not {do} the {prop}, the whole town would become {mood}.",
    NULL,
};
static const char *const STORY_SEARCH[] = {
    "So {hero} and {friend} went to the {place}.",
    "They {go.d} {how} through the {place} and over the {place}.",
    "On the way they met {a mood} {role}, who wanted to {do} {a thing}.",
    "The {role} gave them {a quality} {thing} and said, \"Do not {do} it.\"",
    "They asked {a mood} {pal} the way, and the {pal} only {go.d}.",
    "{friend} found {n1} {thing.s} under {a quality} {goods}.",
    "For {n1} days they {go.d} until they came to {a quality} {place}.",
    "At the {place} {hero} {do.d} the {quality} {thing} {how}.",
    "{hero} said to {friend}, \"We must {do} the {thing} before we {go}.\"",
    "{friend} answered {how}, \"First let us {go} and eat {food.s}.\"",
    "There they saw {n1} {beast.s} and {a quality} {thing}.",
    "{^a mood} {role} told them that {rival} had gone to the {place}.",
    "While {hero} was {go.ing}, {friend} was {do.ing} the {thing.s}.",
    "It was {weather}, and the {place} looked {quality} and {colour}.",
    NULL,
};
static const char *const STORY_RESCUE[] = {
    "At last they found the {prop} in the {spot}.",
    "The {helper} {do.d} the {thing}, and there lay the {prop}.",
    "{rival} was sorry and gave the {prop} back to {hero}.",
    "{hero} {do.d} the {prop} and laughed {how}.",
    "{rival} said {how}, \"I only wanted to {do} it once.\"",
    "{hero} forgave {rival}, for {virtue} is better than {material}.",
    "With the {quality} {thing} they could {do} the {prop} again.",
    "{friend} cried, \"Look, the {prop} is in the {spot}!\"",
    "Then {friend} {do.d} the {thing}, and {hero} {do.d} the {prop}.",
    NULL,
};
static const char *const STORY_END[] = {
    "From that day on {hero} and {friend} were never {mood} again.",
    "And so {hero} learned that {virtue} is worth more than {material}.",
    "They went home to {town} and ate {food.s} with the {crowd}.",
    "{hero} never lost the {prop} again.",
    "And the {helper} still lives in the {spot} of {town}.",
    "Since then the {crowd} of {town} call {him} {hero} the {^mood}.",
    NULL,
};

static const char *const BEAST_TITLE[] = {"Chapter {page}: the {kind}", NULL};
static const char *const BEAST_INTRO[] = {
    "The {kind} is an animal that lives near the {kind_place}.",
    "Of all the animals of the {kind_place}, the {kind} is the best known.",
    "This chapter is about the {kind}, {a kind_colour} animal of the {kind_place}.",
    NULL,
};
static const char *const BEAST_BODY[] = {
    "It eats {kind_food.s}, and in {kind_season} it also eats {kind_treat.s}.",
    "Its {kind_part} is {kind_colour} and very {kind_quality}.",
    "In {kind_season} the young of the {kind} leave the {kind_place}.",
    "A grown {kind} weighs about {kind_weight} pounds.",
    "It lives for about {kind_years} years.",
    "Unlike the {other}, which likes the {other_place}, it never leaves the {kind_place}.",
    "The {other} eats {other_food.s}, but the {kind} does not.",
    "Hunters say that the {kind} is {kind_mood} and hard to {kind_verb}.",
    "You can see it best when the weather is {weather}.",
    "Many {crowd} are afraid of its {kind_part}, although it is {kind_mood}.",
    "In {region} the {kind} is a sign of {virtue}.",
    "{^a role} called {name} once saw {n1} {kind.s} beside {a quality} {thing}.",
    NULL,
};
static const char *const BEAST_SUMMARY[] = {
    "Remember: the {kind} lives near the {kind_place} and eats {kind_food.s}.",
    "Question: what does the {kind} eat? Answer: {kind_food.s}.",
    "Question: how long does the {kind} live? Answer: {kind_years} years.",
    NULL,
};

static const char *const TOWN_TITLE[] = {"The town of {city}", "A visit to {city}", NULL};
static const char *const TOWN_INTRO[] = {
    "{city} is a town in {city_region}, built beside {a city_place}.",
    "The town of {city} lies in {city_region}, near the {city_place}.",
    NULL,
};
static const char *const TOWN_BODY[] = {
    "Its people make {city_goods.s} of {city_stuff} and sell them in {far}.",
    "In {city_season} the weather there is often {city_weather}.",
    "About {city_people} thousand people live there.",
    "The {city_role.s} of {city} are famous for their {city_virtue}.",
    "From {city} to {far} it is {miles} miles.",
    "Travellers who come from {far} bring {far_goods.s} and take home {city_food.s}.",
    "Once a year, in {city_season}, the {crowd} dance around {a city_goods}.",
    "The oldest house in {city} belonged to {a role} called {name}.",
    "{name} wrote that nobody in {city} is ever {mood}.",
    "The {place} is {quality}, and behind it stands {a quality} {place}.",
    "When it is {weather}, the {role.s} of the town {go} and {go} in the {place}.",
    NULL,
};
static const char *const TOWN_SUMMARY[] = {
    "Remember: {city} is the town of {city_goods.s} in {city_region}.",
    "Question: in which region is {city}? Answer: in {city_region}.",
    NULL,
};

static const char *const STUFF_TITLE[] = {"Lesson {page}: {stuff}", NULL};
static const char *const STUFF_INTRO[] = {
    "{^stuff} is a material that is found near the {stuff_place}.",
    "In this lesson we learn how people use {stuff}.",
    NULL,
};
static const char *const STUFF_BODY[] = {
    "It is {stuff_colour} and rather {stuff_quality}.",
    "{^a stuff_role} makes {stuff_goods.s} out of {stuff}.",
    "One pound of {stuff} costs as much as {stuff_price} {stuff_food.s}.",
    "{^stuff} is more {stuff_quality} than {base}, but less {base_quality}.",
    "Never leave {stuff} in the {place}, or it will become {quality}.",
    "To test it, {do} it {how} and then {do} it with {a thing}.",
    "The first to use {stuff} was {a role} called {name}.",
    "{^base} comes from the {base_place}, {stuff} from the {stuff_place}.",
    "Good {stuff} is never {quality}.",
    "A pupil who wants to {do} {stuff} should be {mood} and {mood}.",
    NULL,
};
static const char *const STUFF_SUMMARY[] = {
    "Remember: {stuff} is {stuff_colour}, {stuff_quality} and used for {stuff_goods.s}.",
    "Question: where is {stuff} found? Answer: near the {stuff_place}.",
    NULL,
};

static const char *const SUMS_TITLE[] = {"Exercises of page {page}", NULL};
static const char *const SUMS_BODY[] = {
    "{n1} plus {n2} is {sum}.",
    "{n1} times {n2} is {product}.",
    "{big} minus {n2} is {difference}.",
    "Half of {double} is {n1}.",
    "{name} has {n1} {goods.s} and buys {n2} more, so now there are {sum} {goods.s}.",
    "If {a role} sells {n1} {goods.s} for {n2} coins each, that makes {product} coins.",
    "{name} had {big} {meal.s}, gave {n2} to {name2} and kept {difference}.",
    "A box holds {n1} {goods.s}, so {n2} boxes hold {product} {goods.s}.",
    "Which is more, {n1} or {n2}? The answer is {larger}.",
    "We count on: {n1}, {next}, {second}, {third}.",
    NULL,
};

static const char *const SOUP_TITLE[] = {"How to cook {dish} soup", NULL};
static const char *const SOUP_NEEDS[] = {
    "You need {n1} {dish.s}, {n2} {food.s} and some {spice}.",
    "For {n1} {crowd} take {n2} {dish.s} and plenty of {spice}.",
    NULL,
};
static const char *const SOUP_FIRST[] = {
    "First {do} the {dish.s} and put them into {a quality} {vessel}.",
    "First of all {do} {a quality} {vessel} and fill it with {dish.s}.",
    NULL,
};
static const char *const SOUP_STEPS[] = {
    "Then {do} the {vessel} {how} for {n1} minutes.",
    "Add some {spice} and {do} it {how}.",
    "Next {do} the {food.s} with {a thing}.",
    "Wait until the {dish.s} are {quality} and {colour}.",
    "Do not {do} the {vessel} while it is {quality}.",
    "Some {role.s} like to {do} the {dish.s} in the {place}.",
    NULL,
};
static const char *const SOUP_LAST[] = {
    "At last {do} the soup and give it to the {crowd}.",
    "This soup makes every {mood} {role} {mood}.",
    NULL,
};

static const char *const DIARY_TITLE[] = {"The diary of {hero}, {a job}", NULL};
static const char *const DIARY_OPENING[] = {
    "This week I am in {town} with {friend}.",
    "My friend {friend} has taken me to {town}, and I have packed my {prop}.",
    NULL,
};
static const char *const DIARY_DAYS[] = {
    "On {day} it was {weather}, so we {go.d} in the {place}.",
    "On {day} {friend} and I {do.d} the {prop}.",
    "On {day} I bought {n1} {thing.s} from {a mood} {role}.",
    "On {day} we ate {food.s} with {spice} and I felt {mood}.",
    "On {day} {a mood} {beast} {do.d} my {prop}.",
    "On {day} nothing happened, and {friend} was {mood}.",
    "On {day} I learned about {learn} from the {role} of {town}.",
    NULL,
};
static const char *const DIARY_END[] = {
    "Tomorrow I will {go} home and {do} my {prop}.",
    "It was a good week, and I shall miss {town} in {season}.",
    NULL,
};

static const bn_document_kind KINDS[] = {
    {"story",
     10,
     {{STORY_TITLE, 1, 1},
      {STORY_OPENING, 1, 1},
      {STORY_SETTING, 1, 4},
      {STORY_TROUBLE, 1, 4},
      {STORY_SEARCH, 2, 6},
      {STORY_RESCUE, 1, 3},
      {STORY_END, 1, 2}}},
    {"beast",
     4,
     {{BEAST_TITLE, 1, 1}, {BEAST_INTRO, 1, 1}, {BEAST_BODY, 3, 8}, {BEAST_SUMMARY, 1, 2}}},
    {"town", 3, {{TOWN_TITLE, 1, 1}, {TOWN_INTRO, 1, 1}, {TOWN_BODY, 3, 7}, {TOWN_SUMMARY, 1, 1}}},
    {"stuff",
     3,
     {{STUFF_TITLE, 1, 1}, {STUFF_INTRO, 1, 1}, {STUFF_BODY, 3, 7}, {STUFF_SUMMARY, 1, 1}}},
    {"sums", 3, {{SUMS_TITLE, 1, 1}, {SUMS_BODY, 4, 9}}},
    {"soup",
     2,
     {{SOUP_TITLE, 1, 1},
      {SOUP_NEEDS, 1, 1},
      {SOUP_FIRST, 1, 1},
      {SOUP_STEPS, 2, 5},
      {SOUP_LAST, 1, 1}}},
    {"diary",
     2,
     {{DIARY_TITLE, 1, 1}, {DIARY_OPENING, 1, 1}, {DIARY_DAYS, 3, 7}, {DIARY_END, 1, 1}}},
};

const bn_slot *bn_synth_slots(int *count)
{
    *count = sizeof SLOTS / sizeof SLOTS[0];
    return SLOTS;
}

const bn_document_kind *bn_synth_kinds(int *count)
{
    *count = sizeof KINDS / sizeof KINDS[0];
    return KINDS;
}
