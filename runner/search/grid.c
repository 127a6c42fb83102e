#include "runner/search/grid.h"

#include "engine/base/rng.h"
#include "runner/search/walk.h"

bn_status bn_grid_init(bn_grid *grid, const bn_space *space, bn_error *err)
{
    *grid = (bn_grid){.space = space, .count = 1};
    grid->axes = bn_space_axes(space, grid->leads);
    for (int i = 0; i < grid->axes; i++) {
        const bn_parameter *p = &space->params[grid->leads[i]];
        grid->cells[i] = bn_parameter_cells(p);
        if (grid->cells[i] == 0) {
            return bn_fail(err, BN_EINVAL,
                           "a grid cannot vary '%s' (%s): give grid_points or values, or use "
                           "method = \"random\"",
                           p->name, bn_dist_name(p->dist));
        }
        if (grid->cells[i] > BN_CELLS_MAX / grid->count) {
            return bn_fail(err, BN_EINVAL,
                           "a grid must have at most %d points, '%s' takes it beyond: use fewer "
                           "values or method = \"random\"",
                           BN_CELLS_MAX, p->name);
        }
        grid->count *= grid->cells[i];
    }
    return BN_OK;
}

void bn_grid_candidate(const void *self, int64_t number, bn_point *out)
{
    const bn_grid *grid = self;
    out->count = grid->space->count;
    for (int i = grid->axes - 1; i >= 0; i--) {
        int lead = grid->leads[i];
        bn_parameter_cell(&grid->space->params[lead], number % grid->cells[i], &out->values[lead]);
        number /= grid->cells[i];
    }
}

void bn_grid_shuffle(int64_t *numbers, size_t count, uint64_t seed)
{
    uint64_t key = bn_rng_key(seed, "shuffle", 0);
    for (size_t i = count; i > 1; i--) {
        size_t j = (size_t)bn_rng_below(key, i, i);
        int64_t kept = numbers[i - 1];
        numbers[i - 1] = numbers[j];
        numbers[j] = kept;
    }
}
