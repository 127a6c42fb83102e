/* insight_json.c - what an insight says, as JSON. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "reporters/insight.h"

static void add_real(bn_json *json, const char *key, double number)
{
    bn_json_key(json, key);
    bn_json_real(json, number);
}

static void add_int(bn_json *json, const char *key, int64_t number)
{
    bn_json_key(json, key);
    bn_json_int(json, number);
}

static void add_knob(bn_json *json, const char *name)
{
    bn_json_object(json);
    bn_json_key(json, "knob");
    bn_json_string(json, name);
}

void bn_insight_effect_name(const bn_insight *insight, const bn_anova_effect *effect, char out[160])
{
    const char *second = effect->second < 0 ? "" : insight->knobs[effect->second];
    (void)snprintf(out, 160, "%s%s%s", insight->knobs[effect->first], *second ? " x " : "", second);
}

static void add_effects(const bn_insight *insight, bn_json *json)
{
    bn_json_key(json, "effects");
    bn_json_array(json);
    for (size_t i = 0; insight->effects && i < insight->knob_count; i++) {
        const bn_effect *effect = &insight->effects[i];
        add_knob(json, insight->knobs[i]);
        add_real(json, "share", effect->share);
        add_real(json, "low", effect->low);
        add_real(json, "high", effect->high);
        add_int(json, "levels", effect->levels);
        bn_json_end_object(json);
    }
    bn_json_end_array(json);
}

static void add_anova(const bn_insight *insight, bn_json *json)
{
    char name[160];
    bn_json_key(json, "anova");
    if (!insight->full_grid) {
        bn_json_string(json, NULL);
        return;
    }
    bn_json_object(json);
    bn_json_key(json, "effects");
    bn_json_array(json);
    for (int i = 0; i < insight->anova.effect_count; i++) {
        const bn_anova_effect *effect = &insight->anova.effects[i];
        bn_insight_effect_name(insight, effect, name);
        bn_json_object(json);
        bn_json_key(json, "knobs");
        bn_json_string(json, name);
        add_real(json, "share", effect->share);
        add_real(json, "df", effect->df);
        add_real(json, "f", effect->f);
        add_real(json, "p", effect->p);
        bn_json_end_object(json);
    }
    bn_json_end_array(json);
    add_real(json, "higher_share", insight->anova.higher_share);
    add_real(json, "residual_share", insight->anova.residual_share);
    bn_json_end_object(json);
}

static void add_importance(const bn_insight *insight, bn_json *json)
{
    bn_json_key(json, "importance");
    bn_json_array(json);
    for (size_t i = 0; insight->searched && i < insight->knob_count; i++) {
        const bn_importance *knob = &insight->importance[i];
        add_knob(json, insight->knobs[i]);
        add_real(json, "share", knob->share);
        add_real(json, "low", knob->low);
        add_real(json, "high", knob->high);
        add_real(json, "spearman", knob->spearman);
        bn_json_end_object(json);
    }
    bn_json_end_array(json);
}

void bn_insight_json(const bn_insight *insight, bn_json *json)
{
    add_effects(insight, json);
    add_anova(insight, json);
    add_importance(insight, json);
}

void bn_insight_valley_json(const bn_comparison *made, const bn_comparison_cell *cell,
                            bn_json *json)
{
    const bn_valley *valley = &cell->valley;
    const char *setting = made->settings[cell->setting];
    char knob[BN_SETTING_MAX];
    bn_json_key(json, "valley");
    if (!valley->fitted) {
        bn_json_string(json, NULL);
        return;
    }
    (void)snprintf(knob, sizeof knob, "%.*s", (int)strcspn(setting, "="), setting);
    add_knob(json, knob);
    add_real(json, "at", valley->rate);
    add_real(json, "at_low", valley->rate_low);
    add_real(json, "at_high", valley->rate_high);
    add_real(json, "value", valley->loss);
    add_real(json, "value_low", valley->loss_low);
    add_real(json, "value_high", valley->loss_high);
    add_int(json, "runs", (int64_t)valley->points);
    add_int(json, "settings", (int64_t)valley->rates);
    bn_json_end_object(json);
}
