/* cuda_transport.h - how ranks on cards add up: nccl.cu, or the host twin's in its tests. */
#ifndef BN_ENGINE_CUDA_CUDA_TRANSPORT_H
#define BN_ENGINE_CUDA_CUDA_TRANSPORT_H

#include "engine/transport.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Called by all ranks. BN_EINVAL: no NCCL on a rank, two ranks on one card; BN_EIO, BN_ENOMEM. */
bn_status bn_cuda_transport(bn_transport *out, const bn_transport_args *args, bn_error *err);

#ifdef __cplusplus
}
#endif
#endif
