#include "runner/search/grid.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/rng.h"
#include "runner/search/sobol.h"

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
        bn_space_choose_cell(grid->space, grid->leads[i], number % grid->cells[i], out);
        number /= grid->cells[i];
    }
}

void bn_grid_shuffle(int64_t *numbers, size_t count, uint64_t seed)
{
    uint64_t key = bn_rng_key(seed, "shuffle", 0);
    size_t front = 0;
    while (front < count && numbers[front] < 0) front++;
    numbers += front;
    for (size_t i = count - front; i > 1; i--) {
        size_t j = (size_t)bn_rng_below(key, i, i);
        int64_t kept = numbers[i - 1];
        numbers[i - 1] = numbers[j];
        numbers[j] = kept;
    }
}

/* The combination that a Sobol point falls into. */
static int64_t cell_of(const bn_grid *grid, const bn_sobol *sobol, int64_t number)
{
    int64_t cell = 0;
    for (int i = 0; i < grid->axes; i++) {
        double u = bn_sobol_at(sobol, i, (uint64_t)number);
        cell = cell * grid->cells[i] + (int64_t)(u * (double)grid->cells[i]);
    }
    return cell;
}

bn_status bn_grid_spread(const bn_grid *grid, int64_t *numbers, size_t count, uint64_t seed,
                         bn_error *err)
{
    /* place[cell]: 1 + where the combination stands in numbers; 0: left out, or placed already. */
    size_t *place = calloc((size_t)grid->count, sizeof *place);
    int64_t *ordered = malloc((count ? count : 1) * sizeof *ordered);
    bn_status status = BN_OK;
    if (!place || !ordered) {
        status = bn_fail(err, BN_ENOMEM, "too little memory for %zu points", count);
        goto done;
    }
    size_t done_count = 0;
    for (size_t i = 0; i < count; i++) {
        /* Points that were enqueued keep their places in front. */
        if (numbers[i] < 0) ordered[done_count++] = numbers[i];
        if (numbers[i] >= 0) place[numbers[i]] = i + 1;
    }
    bn_sobol sobol;
    bn_sobol_init(&sobol, seed);
    for (int64_t i = 0; i < 32 * grid->count && done_count < count; i++) {
        int64_t cell = cell_of(grid, &sobol, i);
        if (place[cell]) ordered[done_count++] = cell;
        place[cell] = 0;
    }
    /* Some cells of uneven grids are hit late: the rest follows in the grid's order. */
    for (size_t i = 0; i < count; i++) {
        if (numbers[i] >= 0 && place[numbers[i]]) ordered[done_count++] = numbers[i];
    }
    memcpy(numbers, ordered, count * sizeof *numbers);
done:
    free(place);
    free(ordered);
    return status;
}
