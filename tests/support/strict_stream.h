/* strict_stream.h - the device behind the strict twins of CUDA's libraries: work, graphs, memory.
 *
 * The strict twins (strict_cudart.cpp, strict_cublaslt.cpp, strict_nccl.cpp) stand in for cudart,
 * cuBLASLt and NCCL by the makers' own headers, so the plug-in's files that call them run on the
 * host. They abort, and say why, where a caller breaks what the makers' documentation asks of it:
 * the real libraries would fail there, or worse, would not.
 */
#ifndef BN_TESTS_SUPPORT_STRICT_STREAM_H
#define BN_TESTS_SUPPORT_STRICT_STREAM_H

#include <cstddef>
#include <functional>
#include <vector>

typedef std::vector<std::function<void()>> strict_graph;

/* What cudaStream_t points to; libraries of their own reach the device by it. */
struct CUstream_st {
    void (*submit)(std::function<void()> work);
    bool recorded;
};

/* The caller has broken a promise. */
[[noreturn]] void strict_fault(const char *call, const char *what);

/* Gives work to the device, which does it at the next strict_finish, or keeps it for the graph. */
void strict_submit(std::function<void()> work);
void strict_finish();
void strict_record_begin();
strict_graph strict_record_end();
bool strict_recording();

/* Whether all of it is memory of the device, in one piece. */
bool strict_on_card(const void *memory, size_t bytes);

#endif
