#include "support/strict_stream.h"

#include "support/cuda_emu.h"

void strict_fault(const char *call, const char *what)
{
    (void)fprintf(stderr, "%s: %s\n", call, what);
    abort();
}

void strict_submit(std::function<void()> work)
{
    bn_emu::m.late = true;
    bn_emu::submit(std::move(work));
}

void strict_finish()
{
    bn_emu::finish();
}

void strict_record_begin()
{
    bn_emu::m.late = true;
    bn_emu::m.record = new strict_graph;
}

strict_graph strict_record_end()
{
    strict_graph work = std::move(*bn_emu::m.record);
    delete bn_emu::m.record;
    bn_emu::m.record = nullptr;
    return work;
}

bool strict_recording()
{
    return bn_emu::m.record != nullptr;
}
