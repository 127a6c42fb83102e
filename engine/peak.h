/* peak.h - how fast the device multiplies at best: the 100 % of mfu, measured, not looked up. */
#ifndef BN_ENGINE_PEAK_H
#define BN_ENGINE_PEAK_H

#include "engine/bitlinear.h"

/* Operations a second of forward products in the config's own format, on growing matrices until
 * one takes PEAK_ENOUGH_S; some tens of milliseconds in all. 0: it could not be measured (then the
 * device's failure, if any, is left for the next sync). */
double bn_peak_flops(bn_backend be, const bn_config *config);

#endif
