/* nccl_absent.cu - in the place of nccl.cu where NCCL's header was not found. */
#include "engine/cuda/cuda_transport.h"

bn_status bn_cuda_transport(bn_transport *out, const bn_transport_args *args, bn_error *err)
{
    (void)args;
    *out = {nullptr, nullptr};
    return bn_fail(err, BN_EINVAL, "this CUDA backend was built without NCCL: one GPU a run");
}
