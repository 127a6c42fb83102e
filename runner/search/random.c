#include "runner/search/random.h"

#include "engine/base/rng.h"

void bn_random_init(bn_random *random, const bn_space *space, uint64_t seed)
{
    *random = (bn_random){.space = space};
    random->axes = bn_space_axes(space, random->leads);
    for (int i = 0; i < random->axes; i++) {
        random->keys[i] = bn_rng_key(seed, space->params[random->leads[i]].name, 0);
    }
}

void bn_random_candidate(const void *self, int64_t number, bn_point *out)
{
    const bn_random *random = self;
    out->count = random->space->count;
    for (int i = 0; i < random->axes; i++) {
        double u = bn_rng_uniform(random->keys[i], (uint64_t)number);
        bn_space_choose_at(random->space, random->leads[i], u, out);
    }
}
