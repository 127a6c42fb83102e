#include "engine/meter.h"

#include <math.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/clock.h"

void bn_values_add(bn_values *values, const char *key, double number)
{
    if (values->count == BN_RECORD_VALUES_MAX) return;
    char *name = values->names[values->count];
    (void)snprintf(name, BN_METRIC_NAME_MAX, "%s", key);
    values->rows[values->count++] = (bn_value){name, number};
}

void bn_meter_steps(bn_meter *meter, int64_t steps, double took_s)
{
    meter->busy_s += took_s;
    meter->steps += steps;
}

static void add_known(bn_values *values, const char *key, double number)
{
    if (!isnan(number)) bn_values_add(values, key, number);
}

static void report_memory(const bn_meter *meter, bn_values *values)
{
    const bn_model_bytes *bytes = &meter->bytes;
    bn_memory memory = bn_memory_now();
    add_known(values, "mem/rss_bytes", memory.rss_bytes);
    add_known(values, "mem/peak_rss_bytes", memory.peak_rss_bytes);
    bn_values_add(values, "mem/weights_bytes", (double)bytes->weights);
    bn_values_add(values, "mem/grads_bytes", (double)bytes->grads);
    bn_values_add(values, "mem/optimizer_bytes", (double)bytes->optimizer);
    bn_values_add(values, "mem/activations_bytes", (double)bytes->activations);
    bn_values_add(values, "mem/engine_bytes",
                  (double)(bytes->weights + bytes->grads + bytes->optimizer + bytes->activations) +
                      meter->host_bytes);
}

static void report_cpu(bn_meter *meter, bn_values *values)
{
    struct timespec spent;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent) != 0 || cores < 1) return;
    double cpu_s = (double)spent.tv_sec + (double)spent.tv_nsec * 1e-9;
    double wall_s = bn_clock_mono_s();
    if (meter->wall_s > 0 && wall_s > meter->wall_s) {
        double share = (cpu_s - meter->cpu_s) / (wall_s - meter->wall_s) / (double)cores;
        bn_values_add(values, "cpu/percent", 100 * share);
    }
    meter->cpu_s = cpu_s;
    meter->wall_s = wall_s;
}

static void report_card(const bn_meter *meter, bn_values *values)
{
    bn_nvml_reading now = bn_gpu_meter_read(&meter->gpu);
    add_known(values, "mem/device_bytes", now.memory_bytes);
    add_known(values, "gpu/percent", now.busy_percent);
    add_known(values, "gpu/memory_percent", now.memory_busy_percent);
    add_known(values, "gpu/memory_used_percent", 100 * now.memory_bytes / now.memory_total_bytes);
    add_known(values, "gpu/power_w", now.power_w);
    add_known(values, "gpu/power_limit_w", now.power_limit_w);
    add_known(values, "gpu/sm_clock_mhz", now.sm_clock_mhz);
    add_known(values, "gpu/memory_clock_mhz", now.memory_clock_mhz);
    add_known(values, "gpu/temp_c", now.temperature_c);
}

double bn_meter_joules(bn_meter *meter)
{
    double host_j = bn_rapl_joules(&meter->rapl), card_j = bn_gpu_meter_joules(&meter->gpu);
    if (isnan(host_j)) return card_j;
    return isnan(card_j) ? host_j : host_j + card_j;
}

void bn_meter_report(bn_meter *meter, bn_values *values)
{
    if (meter->steps > 0 && meter->busy_s > 0) {
        double rate = meter->tokens_per_step * (double)meter->steps / meter->busy_s;
        bn_values_add(values, "tokens_per_s", rate);
        bn_values_add(values, "step_ms", 1e3 * meter->busy_s / (double)meter->steps);
        if (meter->peak_flops > 0) {
            bn_values_add(values, "mfu",
                          rate * meter->cost.train_flops_per_token / meter->peak_flops);
        }
    }
    meter->busy_s = 0;
    meter->steps = 0;
    report_cpu(meter, values);
    report_memory(meter, values);
    report_card(meter, values);
}

void bn_meter_facts(const bn_meter *meter, const bn_params *params, bn_values *values)
{
    bn_values_add(values, "model/params", (double)params->total);
    bn_values_add(values, "model/ternary_params", (double)meter->cost.ternary_params);
    bn_values_add(values, "model/deployed_bytes", meter->cost.deployed_bytes);
    bn_values_add(values, "model/fp16_bytes", meter->cost.fp16_bytes);
    bn_values_add(values, "energy/estimate_j_per_token", meter->cost.energy_estimate_j);
    if (meter->peak_flops > 0) {
        bn_values_add(values, "machine/peak_flops", meter->peak_flops);
    }
}

void bn_quant_report(const bn_quant_stats *stats, bool histogram, bn_values *values)
{
    char key[BN_METRIC_NAME_MAX];
    bn_values_add(values, "quant/zero_frac", stats->zero_frac);
    bn_values_add(values, "quant/balance", stats->balance);
    bn_values_add(values, "quant/flip_rate", stats->flip_rate);
    for (int i = 0; histogram && i < BN_HIST_BINS; i++) {
        (void)snprintf(key, sizeof key, "quant/hist_%02d", i);
        bn_values_add(values, key, stats->hist[i]);
    }
}
