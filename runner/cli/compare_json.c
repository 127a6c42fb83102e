/* compare_json.c - `bnexp compare --json`. */
#include <math.h>

#include "runner/cli/compare_print.h"

static void json_real(bn_json *json, const char *key, double number)
{
    bn_json_key(json, key);
    bn_json_real(json, number);
}

static void json_cell(bn_json *json, const bn_compared *at, const bn_comparison_cell *cell)
{
    const bn_comparison *made = &at->made;
    const bn_comparison_cell *base = bn_comparison_at(made, cell->shape, made->baseline);
    bn_json_object(json);
    bn_json_key(json, "shape");
    bn_json_string(json, made->shapes[cell->shape]);
    bn_json_key(json, "side");
    bn_json_string(json, made->sides[cell->side]);
    bn_json_key(json, "setting");
    bn_json_string(json, made->settings[cell->setting]);
    bn_json_key(json, "settings_tried");
    bn_json_int(json, cell->settings);
    bn_json_key(json, "edge");
    bn_json_bool(json, cell->edge);
    bn_json_key(json, "runs");
    bn_json_int(json, cell->runs);
    json_real(json, "value", cell->value);
    json_real(json, "deviation", cell->deviation);
    json_real(json, "gap", base ? cell->value - base->value : (double)NAN);
    json_real(json, "tokens_per_s", cell->tokens_per_s);
    json_real(json, "memory_bytes", cell->memory_bytes);
    json_real(json, "deployed_bytes", cell->deployed_bytes);
    json_real(json, "params", cell->params);
    bn_insight_valley_json(made, cell, json);
    bn_json_end_object(json);
}

static void json_pairs(bn_json *json, const bn_compared *at, const bn_comparison_pairs *pairs)
{
    static const char *const intervals[] = {NULL, "student", "bca"};
    const bn_paired *loss = &pairs->loss;
    bn_json_object(json);
    bn_json_key(json, "side");
    bn_json_string(json, at->made.sides[pairs->side]);
    bn_json_key(json, "each_at_its_own_best");
    bn_json_bool(json, pairs->own_best);
    bn_json_key(json, "pairs");
    bn_json_int(json, (int64_t)loss->count);
    json_real(json, "mean", loss->mean);
    bn_json_key(json, "interval");
    bn_json_string(json, intervals[loss->interval]);
    json_real(json, "low", loss->low);
    json_real(json, "high", loss->high);
    json_real(json, "p", loss->p);
    json_real(json, "p_holm", pairs->p_holm);
    bn_json_key(json, "above");
    bn_json_int(json, (int64_t)loss->above);
    bn_json_key(json, "ties");
    bn_json_int(json, (int64_t)loss->ties);
    bn_json_key(json, "below");
    bn_json_int(json, (int64_t)loss->below);
    bn_json_end_object(json);
}

static void json_law(bn_json *json, const char *key, const bn_scaling *law)
{
    bn_json_key(json, key);
    bn_json_object(json);
    json_real(json, "e", law->e);
    json_real(json, "e_low", law->e_low);
    json_real(json, "e_high", law->e_high);
    json_real(json, "a", law->a);
    json_real(json, "a_low", law->a_low);
    json_real(json, "a_high", law->a_high);
    json_real(json, "alpha", law->alpha);
    json_real(json, "alpha_low", law->alpha_low);
    json_real(json, "alpha_high", law->alpha_high);
    bn_json_key(json, "points");
    bn_json_int(json, (int64_t)law->points);
    bn_json_key(json, "sizes");
    bn_json_int(json, (int64_t)law->sizes);
    bn_json_end_object(json);
}

static void json_scaling(bn_json *json, const bn_compared *at)
{
    static const char *const meetings[] = {"unknown", "reached", "ahead", "not within reach"};
    bn_json_key(json, "scaling");
    bn_json_array(json);
    for (size_t i = 0; i < at->insight.scaling_count; i++) {
        const bn_insight_scaling *scaling = &at->insight.scaling[i];
        bn_json_object(json);
        bn_json_key(json, "side");
        bn_json_string(json, at->made.sides[scaling->side]);
        json_law(json, "law", &scaling->twins.side);
        json_law(json, "baseline_law", &scaling->twins.base);
        bn_json_key(json, "meeting");
        bn_json_string(json, meetings[scaling->twins.meeting]);
        json_real(json, "meeting_params", scaling->twins.size);
        json_real(json, "meeting_width", scaling->width);
        json_real(json, "equivalent_size", scaling->twins.ratio);
        json_real(json, "equivalent_size_low", scaling->twins.ratio_low);
        json_real(json, "equivalent_size_high", scaling->twins.ratio_high);
        bn_json_end_object(json);
    }
    bn_json_end_array(json);
}

void bn_compare_json(bn_json *json, const bn_compared *at)
{
    const bn_comparison *made = &at->made;
    bn_json_object(json);
    bn_json_key(json, "sweep");
    bn_json_string(json, at->sweep->name);
    bn_json_key(json, "by");
    bn_json_string(json, at->ask.by);
    bn_json_key(json, "baseline");
    bn_json_string(json, at->ask.baseline);
    bn_json_key(json, "metric");
    bn_json_string(json, at->ask.metric);
    bn_json_key(json, "goal");
    bn_json_string(json, at->ask.maximize ? "maximize" : "minimize");
    bn_json_key(json, "unfinished");
    bn_json_int(json, (int64_t)made->unfinished);
    bn_json_key(json, "without_value");
    bn_json_int(json, (int64_t)made->without_value);
    bn_json_key(json, "cells");
    bn_json_array(json);
    for (size_t i = 0; i < made->cell_count; i++) json_cell(json, at, &made->cells[i]);
    bn_json_end_array(json);
    bn_json_key(json, "differences");
    bn_json_array(json);
    for (size_t i = 0; i < made->pair_count; i++) json_pairs(json, at, &made->pairs[i]);
    bn_json_end_array(json);
    bn_insight_json(&at->insight, json);
    json_scaling(json, at);
    bn_json_end_object(json);
}
